"""Chroma as packs see it: its transformer, and the inputs of conditionings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.flux_transformer import PATCH
from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.denoiser import Denoiser
from models.protocol.dit_patches import (
    block_replacements,
    patched_attention,
    replaced_joint_blocks,
    replaced_single_blocks,
)
from models.protocol.flux import ROPE_OPTIONS, patchify, tokens_of, unpatchify
from models.protocol.flux_positions import grid, moved
from models.protocol.transformer import whole_patches

if TYPE_CHECKING:
    from diffusers import ChromaTransformer2DModel


class Chroma(BaseModel):
    """The network sees the prompt alone.

    Prompts of different lengths are not repeated to join a batch: their tokens attend to each other
    and to those of the picture.
    """

    stretches_context = False


class ChromaTransformer(Denoiser):
    """The transformer, with the replaced blocks of a call."""

    def __init__(self, network: Network[ChromaTransformer2DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.patch_size = PATCH
        self.in_channels = int(config.in_channels) // PATCH**2
        self.out_channels = int(config.out_channels) // PATCH**2
        self.context_channels = int(config.joint_attention_dim)

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
        """[B, C, h, w] of x [B, C, h, w] at times in 0..1, with context [B, T, D]."""
        if context is None:
            raise InvalidInput("Chroma was called without a prompt")
        if context.shape[-1] != self.context_channels:
            raise InvalidInput(
                f"the prompt has {context.shape[-1]} channels and this model takes "
                f"{self.context_channels}: encode it with the text encoder that goes with the model"
            )
        options = transformer_options or {}
        replacements = block_replacements(options)
        padded = whole_patches(x, PATCH)
        sides = tokens_of(padded)
        with (
            patched_attention(options),
            replaced_joint_blocks(module.transformer_blocks, replacements, options),
            replaced_single_blocks(module.single_transformer_blocks, replacements, options),
        ):
            output: Tensor = module(
                patchify(padded),
                context,
                timesteps,
                img_ids=moved(grid(*sides, device=x.device), options.get(ROPE_OPTIONS)),
                txt_ids=torch.zeros(context.shape[1], 3, device=x.device),
                return_dict=False,
            )[0]
        return unpatchify(output, sides)[..., : x.shape[-2], : x.shape[-1]]

    def unet_config(self) -> dict[str, Any]:
        """Widths and depths."""
        config = self.network.module.config
        return {
            "image_model": "chroma",
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "context_in_dim": self.context_channels,
            "hidden_size": config.num_attention_heads * config.attention_head_dim,
            "num_heads": config.num_attention_heads,
            "depth": config.num_layers,
            "depth_single_blocks": config.num_single_layers,
            "axes_dim": list(config.axes_dims_rope),
        }
