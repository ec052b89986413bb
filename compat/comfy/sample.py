"""Sampling from steps and names, for nodes that are given a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.protocol.custom import sample_custom as sample_custom
from models.protocol.replaced import show
from models.protocol.sampling import fit_channels, sample_by_names
from models.sampling.noise import prepare_noise as _prepare_noise

sample = sample_by_names


def prepare_noise(
    latent_image: Tensor, seed: int, noise_inds: Sequence[int] | None = None
) -> Tensor:
    """The initial noise of a seed, on the CPU."""
    indices = None if noise_inds is None else [int(index) for index in noise_inds]
    return _prepare_noise(latent_image, seed, indices)


def prepare_noise_inner(
    latent_image: Tensor, generator: torch.Generator, noise_inds: Sequence[int] | None = None
) -> Tensor:
    """The noise of a generator."""
    if noise_inds is None:
        return torch.randn(latent_image.shape, generator=generator, dtype=latent_image.dtype)
    shape = (1, *latent_image.shape[1:])
    draws = [torch.randn(shape, generator=generator) for _ in range(max(noise_inds) + 1)]
    return torch.cat([draws[index] for index in noise_inds])


def fix_empty_latent_channels(
    model: Any, latent_image: Tensor, downscale_ratio_spacial: int | None = None
) -> Tensor:
    """An all-zero latent with the model's number of channels."""
    return fit_channels(model, latent_image)


def prepare_sampling(
    model: Any, noise_shape: Sequence[int], positive: Any, negative: Any, noise_mask: Any
) -> tuple[Any, Any, Any, Any, list[Any]]:
    """(model, positive, negative, mask, further models): nothing has to be loaded beforehand."""
    return model, positive, negative, noise_mask, []


def cleanup_additional_models(models: Sequence[Any]) -> None:
    """Tell models that a run is over."""
    for model in models:
        if hasattr(model, "cleanup"):
            model.cleanup()


show(sys.modules[__name__], "sample", "sample_custom", "prepare_noise", "fix_empty_latent_channels")
