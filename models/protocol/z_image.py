"""Z-Image as packs see it: its transformer, and the inputs of conditionings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.z_image_transformer import PATCH
from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.denoiser import Denoiser
from models.protocol.dit_patches import block_replacements, patched_attention
from models.protocol.flux import ROPE_OPTIONS
from models.protocol.transformer import whole_patches
from models.protocol.z_image_positions import index_of_picture

if TYPE_CHECKING:
    from diffusers import ZImageTransformer2DModel


class ZImage(BaseModel):
    """The network sees the prompt alone.

    Prompts of different lengths are not repeated to join a batch: the picture's place is told by
    how long they are.
    """

    stretches_context = False


class ZImageTransformer(Denoiser):
    """The transformer: one stream of the picture's tokens and the prompt's."""

    def __init__(self, network: Network[ZImageTransformer2DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.in_channels = self.out_channels = int(config.in_channels)
        self.patch_size = PATCH
        self.context_channels = int(config.cap_feat_dim)

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> Tensor:
        """[B, C, h, w] of x [B, C, h, w] at times in 0..1, with context [B, T, D].

        The network counts times from noise to picture, and says which way the picture is.
        """
        if context is None:
            raise InvalidInput("Z-Image was called without a prompt")
        if context.shape[-1] != self.context_channels:
            raise InvalidInput(
                f"the prompt has {context.shape[-1]} channels and this model takes "
                f"{self.context_channels}: encode it with the text encoder that goes with the model"
            )
        options = transformer_options or {}
        block_replacements(options)  # says what does nothing here
        films = whole_patches(x, PATCH)[:, :, None]
        with (
            _placing(module, context.shape[1], options.get(ROPE_OPTIONS)),
            patched_attention(options),
        ):
            output: list[Tensor] = module(
                list(films.unbind()), 1 - timesteps, list(context.unbind()), return_dict=False
            )[0]
        return -torch.stack(output)[:, :, 0, : x.shape[-2], : x.shape[-1]]

    def unet_config(self) -> dict[str, Any]:
        """Widths and depths."""
        config = self.network.module.config
        return {
            "image_model": "z_image",
            "in_channels": self.in_channels,
            "patch_size": PATCH,
            "dim": config.dim,
            "n_layers": config.n_layers,
            "n_refiner_layers": config.n_refiner_layers,
            "n_heads": config.n_heads,
            "cap_feat_dim": self.context_channels,
            "axes_dims": list(config.axes_dims),
        }


@contextmanager
def _placing(module: Any, tokens: int, options: Mapping[str, float] | None) -> Iterator[None]:
    """Have the picture be after a prompt of so many tokens, and moved so, for a call."""
    positions = module.rope_embedder
    positions.picture, positions.options = index_of_picture(tokens), options
    try:
        yield
    finally:
        positions.options = None
