"""The samplers by name, in the order that clients list them."""

from __future__ import annotations

from collections.abc import Mapping

from models.sampling.samplers import euler
from models.sampling.samplers.sampler import NoiseKind, Sampler

SAMPLERS: Mapping[str, Sampler] = {
    "euler": Sampler(function=euler.sample_euler),
    "euler_ancestral": Sampler(function=euler.sample_euler_ancestral, noise=NoiseKind.STEPS),
    "ddim": Sampler(function=euler.sample_euler, draws_mask_noise=True),
}
