"""ModelHandle: what flows through MODEL sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from PIL.Image import Image
from torch import Tensor

from models.latent_format import LatentFormat
from models.memory import Policy
from models.network import Network, Patches, WeightPatch
from models.previews import LatentColours, latent_preview
from models.sampling.schedule import Schedule

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


@dataclass(frozen=True, kw_only=True)
class ModelHandle:
    """A reference to a loaded diffusion model, with patches and options of its own.

    Handles are values: a change makes a new one, and all share the weights. Implements
    models.sampling.model.DiffusionModel.
    """

    family: str  # name of the model family
    network: Network[UNet2DConditionModel]
    schedule: Schedule
    latent_format: LatentFormat
    policy: Policy
    patches: Patches = field(default_factory=dict)  # weight name -> LoRA and the like
    colours: LatentColours | None = None  # for previews; None without a VAE to ask
    options: Mapping[str, Any] = field(default_factory=dict)  # settings that nodes attach

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.policy.device

    @property
    def dtype(self) -> torch.dtype:
        """The number type it computes in."""
        return self.network.dtype

    def clone(self, **changes: Any) -> ModelHandle:
        """A handle on the same weights, with some fields replaced."""
        return replace(self, **changes)

    def with_patches(self, patches: Patches) -> ModelHandle:
        """A handle whose weights also have these patches, made after those it has."""
        merged: dict[str, tuple[WeightPatch, ...]] = {k: tuple(v) for k, v in self.patches.items()}
        for name, changes in patches.items():
            merged[name] = (*merged.get(name, ()), *changes)
        return replace(self, patches=merged)

    def preview(self, latent: Tensor) -> Image | None:
        """A quick picture of the first latent [B, C, h, w] in model space, or None."""
        return latent_preview(latent, self.colours)

    def extra_conditioning(self, options: Mapping[str, Any], x: Tensor) -> Mapping[str, Tensor]:
        """Nothing: the UNet takes no input beyond the encoded prompt."""
        return {}

    def denoised(self, x: Tensor, sigma: Tensor, context: Tensor, **conditioning: Tensor) -> Tensor:
        """The clean latent, float32 [B, C, h, w].

        x [B, C, h, w] is noisy and in model space, sigma [B], context [B, T, D].
        """
        timestep = self.schedule.timestep(sigma)
        scaled = self.schedule.scale_input(x, sigma)
        self.network.patch(self.patches)
        with self.policy.using(self.network, self.device) as unet:
            output = unet(
                scaled.to(self.device, self.dtype),
                timestep.to(self.device),
                context.to(self.device, self.dtype),
                return_dict=False,
            )[0]
        return self.schedule.denoised(x, sigma, output.to(x.device, torch.float32))
