"""What the sampling loop needs to know of a model; nothing here knows a family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from models.sampling.schedule import Schedule


class LatentScaling(Protocol):
    """The latent space of a model; see models.protocol.latent_formats.LatentFormat."""

    @property
    def channels(self) -> int:
        """Latent channels."""

    def scale_in(self, latent: Tensor) -> Tensor:
        """Raw VAE units to model space."""

    def scale_out(self, latent: Tensor) -> Tensor:
        """Model space to raw VAE units."""


class DiffusionModel(Protocol):
    """A denoiser with its schedule, latent space and place of computation."""

    @property
    def schedule(self) -> Schedule:
        """Noise levels and parametrisation."""

    @property
    def latent_format(self) -> LatentScaling:
        """Scaling of latents on the way in and out."""

    @property
    def device(self) -> torch.device:
        """Where denoised() computes; latents are moved there for sampling."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of the network's activations; latents stay float32 outside."""

    @property
    def stretches_context(self) -> bool:
        """Whether a prompt may be repeated to the length of another, to share a call with it."""

    def extra_conditioning(self, options: Mapping[str, Any], x: Tensor) -> Mapping[str, Tensor]:
        """Keyword tensors for denoised() that a CONDITIONING entry's options stand for.

        x is the latent [B, C, ...] to be denoised, whatever part of it the entry is for; among the
        options is `prompt_type`, the entry's side. Each tensor's leading dimension is 1 or B.
        Models without such inputs return an empty mapping.
        """

    def denoised(self, x: Tensor, sigma: Tensor, context: Tensor, **conditioning: Tensor) -> Tensor:
        """Predict the clean latent, float32 [B, C, ...].

        x [B, C, ...] is noisy and in model space, sigma [B], context [B, T, D] the encoded
        prompt, each conditioning tensor [B, ...].
        """
