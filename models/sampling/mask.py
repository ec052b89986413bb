"""Masks over latents: resizing, and keeping the part of a latent that is not repainted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from models.sampling.schedule import Schedule


def fit_mask(mask: Tensor, x: Tensor) -> Tensor:
    """A mask [..., H, W] of any size as weights [B, 1, ..., h, w] for the latent x [B, C, ...].

    For the latent of a sound [B, C, T] the width of the mask is its time. A mask [B, 1, t, H, W]
    of a film has weights of its own for each latent frame.
    """
    if mask.ndim == x.ndim == 5:
        return _fit_film_mask(mask, x)
    if x.ndim == 3:
        return fit_mask(mask.mean(dim=-2, keepdim=True), x[:, :, None])[:, :, 0]
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).to(x.device, torch.float32)
    if flat.shape[-2:] != x.shape[-2:]:
        flat = functional.interpolate(flat, size=x.shape[-2:], mode="bilinear")
    batch = x.shape[0]
    flat = flat.repeat(-(-batch // flat.shape[0]), 1, 1, 1)[:batch]
    return flat.reshape(batch, 1, *[1] * (x.ndim - 4), *x.shape[-2:])


def _fit_film_mask(mask: Tensor, x: Tensor) -> Tensor:
    weights = mask[:, :1].to(x.device, torch.float32)
    if weights.shape[2:] != x.shape[2:]:
        weights = functional.interpolate(weights, size=x.shape[2:], mode="trilinear")
    batch = x.shape[0]
    return weights.repeat(-(-batch // weights.shape[0]), 1, 1, 1, 1)[:batch]


@dataclass(frozen=True, kw_only=True)
class KnownRegion:
    """Where the mask is 0 the latent is known: the model sees it noised, and it comes back."""

    mask: Tensor  # [B, 1, ...], 1 = repaint
    latent: Tensor  # [B, C, ...] in model space
    noise: Tensor  # [B, C, ...]
    schedule: Schedule

    def mix_input(self, x: Tensor, sigma: float) -> Tensor:
        """Replace the known part of x by the latent at the same noise level."""
        known = self.schedule.noise_latent(self.latent, self.noise, sigma)
        return torch.lerp(known, x, self.mask)

    def mix_output(self, denoised: Tensor) -> Tensor:
        """Replace the known part of a prediction by the latent."""
        return torch.lerp(self.latent, denoised, self.mask)
