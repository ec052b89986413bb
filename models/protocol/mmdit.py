"""Stable Diffusion 3 as packs see it: its transformer, and the inputs of conditionings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.denoiser import Denoiser
from models.protocol.dit_patches import (
    block_replacements,
    patched_attention,
    replaced_joint_blocks,
)
from models.protocol.transformer import check_prompt, whole_patches

if TYPE_CHECKING:
    from diffusers import SD3Transformer2DModel

HEAD_WIDTH: Final = 64  # of all published networks


class SD3(BaseModel):
    """Takes the pooled prompt besides the prompt."""

    stretches_context = False

    def encode_adm(self, **kwargs: Any) -> Tensor:
        """[B, P]: the pooled prompt."""
        pooled: Tensor | None = kwargs.get("pooled_output")
        if pooled is None:
            raise InvalidInput(
                "Stable Diffusion 3 needs prompts of its own text encoders: this one is not pooled"
            )
        return pooled


class MMDiT(Denoiser):
    """The transformer, with the replaced blocks and the controls of a call."""

    def __init__(self, network: Network[SD3Transformer2DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.in_channels = int(config.in_channels)
        self.out_channels = int(config.out_channels)
        self.patch_size = int(config.patch_size)
        self.depth = int(config.num_layers)

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        y: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """[B, C, h, w] of x [B, C, h, w], with context [B, T, D] and pooled y [B, P]."""
        if context is None or y is None:
            raise InvalidInput("the transformer was called without a prompt or its pooled form")
        check_prompt(module, context, y)
        most = module.config.pos_embed_max_size * self.patch_size
        if max(x.shape[-2:]) > most:
            raise InvalidInput(f"the model knows {most * 8} pixels along a side, and no more")
        options = transformer_options or {}
        replacements = block_replacements(options)
        with (
            patched_attention(options),
            replaced_joint_blocks(module.transformer_blocks, replacements, options),
        ):
            output: Tensor = module(
                whole_patches(x, self.patch_size),
                context,
                y,
                timesteps,
                block_controlnet_hidden_states=self._residuals(control, x),
                return_dict=False,
            )[0]
        return output[..., : x.shape[-2], : x.shape[-1]]

    def _residuals(self, control: Mapping[str, Any] | None, x: Tensor) -> Sequence[Any] | None:
        """One for each block, as diffusers takes them."""
        output = (control or {}).get("output")
        if not output:
            return None
        found = [0.0 if part is None else part.to(x) for part in output[: self.depth]]
        return found + [0.0] * (self.depth - len(found))

    def unet_config(self) -> dict[str, Any]:
        """The depth, by which packs tell the members of the family."""
        return {
            "in_channels": self.in_channels,
            "depth": self.depth,
            "patch_size": self.patch_size,
            "image_model": None,
        }

    def stated(self) -> dict[str, Any]:
        """Heads, if these have not the usual width."""
        config = self.network.module.config
        is_usual = config.attention_head_dim == HEAD_WIDTH
        return {} if is_usual else {"num_attention_heads": config.num_attention_heads}
