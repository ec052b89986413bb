"""UNetModel: a diffusers UNet of ours under the interface of the original network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from models.errors import InvalidInput
from models.families.ldm_unet import USUAL_GROUPS, usual_heads
from models.memory import Policy
from models.network import Network
from models.protocol.denoiser import Denoiser
from models.protocol.layer_patches import layer_patches
from models.protocol.residuals import on_the_way_down, residual_arguments

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


class UNetModel(Denoiser):
    """A UNet with cross-attention, with the layer patches and the controls of a call."""

    def __init__(self, network: Network[UNet2DConditionModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.in_channels = int(config.in_channels)
        self.out_channels = int(config.out_channels)
        self.model_channels = int(config.block_out_channels[0])
        self.context_channels = int(config.cross_attention_dim)
        self.label_channels = config.projection_class_embeddings_input_dim
        self.num_classes = None if self.label_channels is None else "sequential"

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
        """[B, C, h, w] of x [B, C, h, w], with context [B, T, D]."""
        if context is None:
            raise InvalidInput("the UNet was called without a prompt")
        if context.shape[-1] != self.context_channels:
            raise InvalidInput(
                f"the prompt has {context.shape[-1]} channels and this model takes "
                f"{self.context_channels}: encode it with the text encoder that goes with the model"
            )
        if (y is None) != (self.label_channels is None):
            takes = "a" if y is None else "no"
            raise InvalidInput(f"this UNet takes {takes} class vector")
        with (
            layer_patches(self.network, transformer_options or {}, x.shape),
            on_the_way_down(control, module, x.device, x.dtype),
        ):
            output: Tensor = module(
                x,
                timesteps,
                context,
                class_labels=y,
                return_dict=False,
                **residual_arguments(control, module, x.device, x.dtype),
            )[0]
        return output

    def unet_config(self) -> dict[str, Any]:
        """The widths, and the kind of transformers."""
        config = self.network.module.config
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "model_channels": self.model_channels,
            "context_dim": self.context_channels,
            "adm_in_channels": self.label_channels,
            "use_linear_in_transformer": bool(config.use_linear_projection),
            "use_spatial_transformer": True,
            "use_temporal_attention": False,
            "image_model": None,
        }

    def stated(self) -> dict[str, Any]:
        """Heads and groups of norms, where they are unusual."""
        config = self.network.module.config
        usual = {
            "num_attention_heads": usual_heads(
                config.block_out_channels, config.use_linear_projection
            ),
            "norm_num_groups": USUAL_GROUPS,
        }
        found = {
            "num_attention_heads": config.attention_head_dim,
            "norm_num_groups": config.norm_num_groups,
        }
        return {name: value for name, value in found.items() if value != usual[name]}
