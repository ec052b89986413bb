"""What a CONDITIONING says to Flux networks: of text, of guidance, of pictures beside the latent.

Flux Fill sees the picture without what is masked, and the mask; Flux Canny and Depth see a map.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.protocol.base_model import BaseModel
from models.protocol.conds import CONDConstant, CONDList, CONDRegular
from models.sampling.conditioning import repeat_to_batch

GUIDANCE: Final = 3.5  # where a conditioning says nothing
PIXELS: Final = 8  # sides of a latent pixel in the picture


class Flux(BaseModel):
    """Flux: the network sees the prompt, its pooled output and a scale of guidance.

    Prompts of different lengths are not repeated to join a batch: their tokens attend to each other
    and to those of the picture.
    """

    is_plain = False
    stretches_context = False

    @classmethod
    def for_channels(cls, in_channels: int, latent_channels: int) -> type[BaseModel]:
        """The class for a network that sees so many channels."""
        if in_channels == latent_channels:
            return cls
        if in_channels == 2 * latent_channels:
            return FluxControl
        if in_channels == 2 * latent_channels + PIXELS**2:
            return FluxFill
        raise InvalidInput(f"no Flux network with {in_channels} channels is known")

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """`c_crossattn`, `y`, `guidance`, and what nodes add: `ref_latents`, `attention_bias`."""
        found = super().extra_conds(**kwargs)
        found["y"] = CONDRegular(self.encode_adm(**kwargs))
        guidance = kwargs.get("guidance", GUIDANCE)
        if guidance is not None:
            found["guidance"] = CONDRegular(torch.tensor([float(guidance)]))
        references = kwargs.get("reference_latents")
        if references:
            found["ref_latents"] = CONDList([self.process_latent_in(r) for r in references])
            found["ref_latents_method"] = CONDConstant(kwargs.get("reference_latents_method"))
        bias = kwargs.get("attention_bias")
        if bias is not None and "c_crossattn" in found:
            # The tokens that were added after it was made have none.
            missing = found["c_crossattn"].cond.shape[1] - bias.shape[1]
            found["attention_bias"] = CONDRegular(functional.pad(bias, (0, missing)))
        return found

    def encode_adm(self, **kwargs: Any) -> Tensor:
        """The pooled output [1 or B, P]; zeros where there is none."""
        pooled: Tensor | None = kwargs.get("pooled_output")
        if pooled is not None:
            return pooled
        return torch.zeros(1, self.model_config.unet_config["vec_in_dim"])

    def _picture(self, **kwargs: Any) -> Tensor:
        """The picture beside the latent, in model space and of its size; zeros without one."""
        noise: Tensor = kwargs["noise"]
        image: Any = kwargs.get("concat_latent_image")
        if image is None:
            return torch.zeros_like(noise)
        if image is not kwargs.get("latent_image"):  # that one is in model space
            image = self.process_latent_in(image)
        if image.shape[-2:] != noise.shape[-2:]:
            image = functional.interpolate(image, size=noise.shape[-2:], mode="bilinear")
        return repeat_to_batch(image.to(noise), len(noise))


class FluxControl(Flux):
    """The network also sees the latent of a map."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.concat_keys = ("image",)

    def concat_cond(self, **kwargs: Any) -> Tensor:
        """[B, C, h, w]."""
        return self._picture(**kwargs)


class FluxFill(Flux):
    """The network also sees what is known of the picture, and in each latent pixel 8 x 8 of a mask.

    1 in the mask is what is to be painted; without one that is everything.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.concat_keys = ("mask", "masked_image")
        self.inpaint_model = True

    def set_inpaint(self) -> None:
        """It is one."""

    def concat_cond(self, **kwargs: Any) -> Tensor:
        """[B, C + 64, h, w]."""
        noise: Tensor = kwargs["noise"]
        mask = kwargs.get("concat_mask")
        if mask is None:
            mask = kwargs.get("denoise_mask")
        if mask is None:
            everything = noise.new_ones(len(noise), PIXELS**2, *noise.shape[2:])
            return torch.cat([torch.zeros_like(noise), everything], dim=1)
        return torch.cat([self._picture(**kwargs), _mask_channels(mask, noise)], dim=1)


def _mask_channels(mask: Tensor, noise: Tensor) -> Tensor:
    """b 1 (h 8) (w 8) -> b (8 8) h w, where h and w are the sides of the latent."""
    height, width = noise.shape[-2:]
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).to(noise)
    sides = (height * PIXELS, width * PIXELS)
    if flat.shape[-2:] != sides:
        flat = functional.interpolate(flat, size=sides, mode="bilinear")
    channels = functional.pixel_unshuffle(flat.round(), PIXELS)
    return repeat_to_batch(channels, len(noise))
