"""ControlNets of Stable Diffusion 3, in the layout of diffusers: configuration from shapes.

Those of InstantX and others see the prompt. The official ones of 3.5 have blocks that do not, and
share the table of positions with the transformer that they control.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.errors import UnsupportedLayout
from models.families.mmdit import table_side
from models.network import Network, assemble
from models.protocol.mmdit import HEAD_WIDTH
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import SD3ControlNetModel

MARK: Final = "pos_embed_input.proj.weight"

# Names of the transformer that is controlled -> names in the control network.
_SHARED: Final[Mapping[str, str]] = {
    "pos_embed": "pos_embed.pos_embed",
    "x_embedder.proj.weight": "pos_embed.proj.weight",
    "x_embedder.proj.bias": "pos_embed.proj.bias",
}


def has_positions(control: Weights) -> bool:
    """Whether it has a table of positions of its own."""
    return "pos_embed.proj.weight" in control.tensors


def with_positions(control: Weights, transformer: Mapping[str, Tensor]) -> Weights:
    """A network without positions with those of a transformer (original names)."""
    shared = {ours: transformer[theirs] for theirs, ours in _SHARED.items()}
    return Weights(path=control.path, tensors=control.tensors | shared, metadata=control.metadata)


def control_config(control: Weights) -> dict[str, Any]:
    """Arguments of SD3ControlNetModel for the tensors of a network that has positions."""
    width, hints, patch, _ = control.shape(MARK)
    latents = control.shape("pos_embed.proj.weight")[1]
    if control.shape("pos_embed.proj.weight")[0] != width:
        raise UnsupportedLayout(control.path, "it is for a transformer of another width")
    side = table_side(control, "pos_embed.pos_embed")
    heads = control.config("unet").get("num_attention_heads", max(width // HEAD_WIDTH, 1))
    context = control.tensors.get("context_embedder.weight")
    dual = re.compile(r"transformer_blocks\.(\d+)\.attn2\.to_q\.weight")
    is_normed = "transformer_blocks.0.attn.norm_q.weight" in control.tensors
    return {
        "sample_size": side * patch,
        "pos_embed_max_size": side,
        "patch_size": patch,
        "in_channels": latents,
        "extra_conditioning_channels": hints - latents,
        "num_layers": control.count("transformer_blocks.{}."),
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "joint_attention_dim": None if context is None else context.shape[1],
        "caption_projection_dim": width if context is None else context.shape[0],
        "pooled_projection_dim": control.shape("time_text_embed.text_embedder.linear_1.weight")[1],
        "dual_attention_layers": tuple(
            sorted(int(match[1]) for name in control.tensors if (match := dual.match(name)))
        ),
        "qk_norm": "rms_norm" if is_normed else None,
    }


def build_mmdit_control(control: Weights, dtype: torch.dtype) -> Network[SD3ControlNetModel]:
    """The network of a file that has positions, or was given some."""
    from diffusers import SD3ControlNetModel

    config = control_config(control)
    return assemble(lambda: SD3ControlNetModel(**config), control.tensors, dtype, control.path)
