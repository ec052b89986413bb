"""Random numbers of a run: initial noise, step noise and Brownian paths.

Draws are made exactly as ComfyUI makes them, so that a seed gives the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, cached_property

import torch
from torch import Tensor

from models.joint_latent import each_part

MAX_SEED = 2**64 - 1
TREE_DIGITS = 6  # torchsde rounds the ends of a tree to its tolerance of 1e-6

NoiseSampler = Callable[[float, float], Tensor]
"""Unit noise of the latent's shape for a step between two sigmas."""


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator with a 64-bit unsigned seed; ValueError if the seed does not fit."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed {seed} is not between 0 and 2**64 - 1; choose a smaller one")
    return torch.Generator(device).manual_seed(seed)


def prepare_noise(latent: Tensor, seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Initial noise [B, C, ...] on the CPU, in the latent's shape and dtype.

    With batch_index, item i gets the noise that index batch_index[i] of a large batch has:
    every index up to the largest is drawn on its own. A film's comes before that of its sound.
    """
    source = generator(seed)
    drawn: Tensor = each_part(latent, lambda part: _drawn(part, source, batch_index))
    return drawn


def _drawn(latent: Tensor, source: torch.Generator, batch_index: Sequence[int] | None) -> Tensor:
    if batch_index is None:
        return torch.randn(latent.shape, generator=source, dtype=latent.dtype)
    shape = (1, *latent.shape[1:])
    draws = [
        torch.randn(shape, generator=source, dtype=latent.dtype)
        for _ in range(max(batch_index) + 1)
    ]
    return torch.cat([draws[index] for index in batch_index])


def step_noise(x: Tensor, seed: int) -> NoiseSampler:
    """Fresh noise at each call; on the CPU the seed is one higher than the initial noise's."""

    @cache  # made when first needed: a run that draws nothing may have any seed
    def source() -> torch.Generator:
        return generator(seed + 1 if x.device.type == "cpu" else seed, x.device)

    def draw(sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(x.shape, generator=source(), device=x.device, dtype=x.dtype)

    return draw


class ContinuedNoise:
    """Noise that goes on where the initial noise of a seed ended; a draw may have another shape."""

    def __init__(self, x: Tensor, seed: int) -> None:
        self._x = x
        self._seed = seed

    @cached_property
    def _source(self) -> torch.Generator:
        source = generator(self._seed)
        torch.randn(self._x.shape, generator=source)
        return source

    def __call__(
        self, sigma: float, sigma_next: float, shape: Sequence[int] | None = None
    ) -> Tensor:
        """Unit noise of the latent's shape, or of the one given."""
        size = self._x.shape if shape is None else shape
        return torch.randn(size, generator=self._source).to(self._x)


def brownian_noise(
    x: Tensor, sigmas: Sequence[float], seed: int, *, on_cpu: bool = True
) -> NoiseSampler:
    """Increments of one Brownian path over sigma, so that step sizes share their noise.

    The path depends on the seed and on the range of positive sigmas only. ValueError if none is.
    """
    positive = [sigma for sigma in sigmas if sigma > 0]
    if not positive:
        raise ValueError("the list of sigmas has no positive sigma; choose another scheduler")
    start, end = min(positive), max(positive)
    import torchsde

    origin = torch.zeros_like(x, device="cpu") if on_cpu else torch.zeros_like(x)
    tree = torchsde.BrownianTree(t0=start, w0=origin, t1=end, entropy=seed)
    first, last = round(start, TREE_DIGITS), round(end, TREE_DIGITS)

    def inside(sigma: float) -> float:
        return min(max(sigma, first), last)

    def increment(sigma: float, sigma_next: float) -> Tensor:
        low, high = min(sigma, sigma_next), max(sigma, sigma_next)
        sign = -1.0 if sigma > sigma_next else 1.0
        path: Tensor = tree(inside(low), inside(high))
        return (path * (sign / math.sqrt(high - low))).to(x.device)

    return increment
