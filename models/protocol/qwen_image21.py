"""Qwen-Image 2.1 as packs see it: its transformer, and the inputs of conditionings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.conds import CONDList, CONDRegular
from models.protocol.denoiser import Denoiser
from models.protocol.dit_patches import block_replacements, patched_attention
from models.protocol.transformer import whole_patches

if TYPE_CHECKING:
    from diffusers import QwenImage21Transformer2DModel

SLOTS: Final = "picture_slots"  # in a CONDITIONING: [1, T] bool, tokens that stand for pictures
_SIDE: Final = 2  # tokens along each side of what one such token stands for


class QwenImage21(BaseModel):
    """The network sees the prompt, and in the places of its pictures their latents.

    Prompts of different lengths are not repeated to join a batch.
    """

    is_plain = False
    stretches_context = False

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """`c_crossattn`; `ref_latents` and the tokens that stand for them, `picture_slots`."""
        found = super().extra_conds(**kwargs)
        references, slots = kwargs.get("reference_latents"), kwargs.get(SLOTS)
        if references and slots is not None:
            films = [r[:, :, None] if r.ndim == 4 else r for r in references]
            found["ref_latents"] = CONDList([self.process_latent_in(film) for film in films])
            found[SLOTS] = CONDRegular(slots)
        return found


class Qwen21Transformer(Denoiser):
    """The transformer: one stream of tokens, in which every picture sees what comes before it."""

    def __init__(self, network: Network[QwenImage21Transformer2DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.in_channels = int(config.in_channels)
        self.out_channels = int(config.out_channels)
        self.patch_size = 1
        self.context_channels = int(config.context_in_dim)

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        ref_latents: Sequence[Tensor] = (),
        picture_slots: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """[B, C, 1, h, w] of x [B, C, 1, h, w] at times in 0..1, with context [B, T, D].

        Pictures to refer to are [B, C, 1, h, w] as well, with a token of the context (True in
        `picture_slots` [B, T]) for each 2 x 2 of their pixels.
        """
        if context is None or context.shape[-1] != self.context_channels:
            given = "none" if context is None else f"{context.shape[-1]} channels"
            raise InvalidInput(
                f"the prompt has {given} and this model takes {self.context_channels}: encode it "
                "with the text encoder that goes with the model"
            )
        if x.shape[2] != 1:
            raise InvalidInput(f"Qwen-Image 2.1 draws pictures, not films of {x.shape[2]} frames")
        slots = torch.zeros(context.shape[:2], dtype=torch.bool, device=x.device)
        if picture_slots is not None:
            slots = picture_slots.to(x.device, torch.bool)
        self._check(ref_latents, slots)
        whole = whole_patches(x[:, :, 0], _SIDE)
        pictures = [*(latent[:, :, 0] for latent in ref_latents), whole]
        appended = whole.shape[-2] * whole.shape[-1] // _SIDE**2
        options = transformer_options or {}
        block_replacements(options)  # says what does nothing here
        with patched_attention(options):
            output: Tensor = module(
                torch.cat([picture.flatten(2).transpose(1, 2) for picture in pictures], dim=1),
                context,
                timesteps,
                img_shapes=[[(1, *picture.shape[-2:]) for picture in pictures]] * len(x),
                img_mask=torch.cat([slots, slots.new_ones(len(x), appended)], dim=1),
                return_dict=False,
            )[0]
        made = output[:, -whole.shape[-2] * whole.shape[-1] :].transpose(1, 2)
        picture = made.reshape(len(x), -1, *whole.shape[-2:])
        return picture[:, :, None, : x.shape[-2], : x.shape[-1]]

    def _check(self, references: Sequence[Tensor], slots: Tensor) -> None:
        """Raise InvalidInput for pictures that do not fill their places in the prompt."""
        for latent in references:
            if latent.shape[1] != self.in_channels or latent.shape[2] != 1:
                raise InvalidInput(
                    f"pictures to refer to have {self.in_channels} channels and one frame, not the "
                    f"shape {list(latent.shape)}"
                )
            if latent.shape[-2] % _SIDE or latent.shape[-1] % _SIDE:
                raise InvalidInput("the sides of pictures to refer to must be multiples of 32")
        places = int(slots[0].sum()) * _SIDE**2
        pixels = sum(latent.shape[-2] * latent.shape[-1] for latent in references)
        if places != pixels:
            raise InvalidInput(
                f"the prompt has places for {places} pixels of latents to refer to, and is given "
                f"{pixels}: encode it together with the pictures"
            )

    def unet_config(self) -> dict[str, Any]:
        """Widths and depth."""
        config = self.network.module.config
        return {
            "image_model": "qwen_image_2_1",
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "num_layers": config.num_layers,
            "context_in_dim": self.context_channels,
        }
