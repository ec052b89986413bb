"""Models whose network sees more than the noisy latent: for inpainting and for edits by words.

Inpainting (9 channels): a mask, and the latent of the picture without what is masked. Edits
(8 channels, InstructPix2Pix, Brooks et al. 2023): the latent of the picture, not scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.protocol.base_model import BaseModel
from models.sampling.conditioning import repeat_to_batch


class InpaintModel(BaseModel):
    """The network sees the latent, the mask (1: to paint) and what is known."""

    is_plain = False
    grey: Callable[[], Tensor] | None = None  # the raw latent [1, C, 1, 1] of a grey picture

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.concat_keys = ("mask", "masked_image")
        self.inpaint_model = True

    def set_inpaint(self) -> None:
        """It is one."""

    def concat_cond(self, **kwargs: Any) -> Tensor:
        """[B, 1 + C, h, w]; without a mask all is to be painted."""
        noise: Tensor = kwargs["noise"]
        mask = kwargs.get("concat_mask")
        if mask is None:
            mask = kwargs.get("denoise_mask")
        image = kwargs.get("concat_latent_image")
        is_in_model_space = image is kwargs.get("latent_image")
        if mask is None or image is None:
            return torch.cat([torch.ones_like(noise[:, :1]), self._unknown(noise)], dim=1)
        if not is_in_model_space:
            image = self.process_latent_in(image)
        flat = mask.reshape(-1, 1, *mask.shape[-2:]) if mask.ndim < 4 else mask[:, :1]
        fitted = functional.interpolate(flat.to(noise), size=noise.shape[-2:], mode="bilinear")
        parts = [fitted.round(), _fitted(image, noise)]
        return torch.cat([repeat_to_batch(part, len(noise)) for part in parts], dim=1)

    def _unknown(self, noise: Tensor) -> Tensor:
        if self.grey is None:
            return torch.zeros_like(noise)
        return self.process_latent_in(self.grey()).to(noise).expand_as(noise)


class EditModel(BaseModel):
    """The network sees the latent and that of the picture to edit."""

    is_plain = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.concat_keys = ("image",)

    def concat_cond(self, **kwargs: Any) -> Tensor:
        """[B, C, h, w] in raw VAE units; zeros without a picture."""
        noise: Tensor = kwargs["noise"]
        image = kwargs.get("concat_latent_image")
        is_in_model_space = image is kwargs.get("latent_image")
        if image is None:
            return torch.zeros_like(noise)
        if is_in_model_space:
            image = self.process_latent_out(image)
        return repeat_to_batch(_fitted(image, noise), len(noise))


def _fitted(image: Tensor, noise: Tensor) -> Tensor:
    image = image.to(noise)
    if image.shape[-2:] == noise.shape[-2:]:
        return image
    return functional.interpolate(image, size=noise.shape[-2:], mode="bilinear")


class UNetBase(BaseModel):
    """The base of UNets, which may see more than the noisy latent."""

    @classmethod
    def for_channels(cls, in_channels: int, latent_channels: int) -> type[BaseModel]:
        """A class for inpainting, for edits, or this one."""
        if in_channels == latent_channels:
            return cls
        kinds = {2 * latent_channels + 1: InpaintModel, 2 * latent_channels: EditModel}
        kind = kinds.get(in_channels)
        if kind is None:
            raise InvalidInput(f"no UNet that sees {in_channels} channels is known here")
        return type(f"{cls.__name__}{kind.__name__}", (kind, cls), {})
