"""Refined exponential solver, multistep (Zhang et al. 2023), with lambda = -log sigma."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.ancestral import add_noise, additive_split
from models.sampling.samplers.sampler import Callback, Denoiser


def sample_res_multistep(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 0.0,
    s_noise: float = 1.0,
    cfg_pp: bool = False,
) -> Tensor:
    """Second order steps from this and the last prediction; eta > 0 adds noise after each.

    With cfg_pp the noise is renewed from the unconditional prediction, see samplers/cfg_pp.py.
    """
    denoised_old: Tensor | None = None
    down_old = 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        if cfg_pp:
            denoised, unconditional = denoise.with_unconditional(x, sigma)
        else:
            denoised = unconditional = denoise(x, sigma)
        callback(i, x, denoised)
        step = additive_split(sigma, sigma_next, eta)
        if step.down == 0 or denoised_old is None:
            x = denoised + (x - unconditional) * (step.down / sigma)
        else:
            h = math.log(sigma / step.down)
            c_2 = math.log(down_old / sigmas[i - 1]) / h
            phi_1 = -math.expm1(-h) / h
            phi_2 = (1 - phi_1) / h
            b_2 = phi_2 / c_2
            if cfg_pp:
                x = x + (denoised - unconditional)
            x = x * math.exp(-h) + unconditional * (h * (phi_1 - b_2)) + denoised_old * (h * b_2)
        x = add_noise(x, step, noise, s_noise)
        denoised_old, down_old = unconditional, step.down
    return x
