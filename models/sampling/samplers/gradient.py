"""Gradient estimation: the slope is corrected by its last change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.sampler import Callback, Denoiser


def sample_gradient_estimation(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    ge_gamma: float = 2.0,
    cfg_pp: bool = False,
) -> Tensor:
    """Gradient estimation (Permenter and Yuan 2023): slopes are extrapolated by ge_gamma.

    With cfg_pp the slope is that of the unconditional prediction, see samplers/cfg_pp.py.
    """
    d_old: Tensor | None = None
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        if cfg_pp:
            denoised, unconditional = denoise.with_unconditional(x, sigma)
        else:
            denoised = unconditional = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        d = (x - unconditional) / sigma
        x = denoised + d * sigma_next
        if d_old is not None:
            x = x + (d - d_old) * ((ge_gamma - 1) * (sigma_next - sigma))
        d_old = d
    return x
