"""Transformers of Qwen-Image 2.1: configuration from shapes, built by diffusers.

Files have the names of diffusers, but for the two halves of what a feed-forward begins with, which
may be one weight there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.parts import Part
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import QwenImage21Transformer2DModel

MARK: Final = "txt_in.text_norm.weight"
_FUSED: Final = "transformer_blocks.{}.img_mlp.gate_up.weight"


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    if MARK in weights.tensors:
        return weights
    return weights.below("model.diffusion_model.", "diffusion_model.", "transformer.")


def transformer_config(qwen: Weights) -> dict[str, Any]:
    """Arguments of QwenImage21Transformer2DModel for the tensors of a transformer.

    Raises UnsupportedLayout for heads that do not fit.
    """
    width, channels = qwen.shape("img_in.weight", 2)
    (head,) = qwen.shape("transformer_blocks.0.attn.norm_q.weight", 1)
    inner, _ = qwen.shape("transformer_blocks.0.attn.to_q.weight", 2)
    (rows, _) = qwen.shape("transformer_blocks.0.img_mlp.out.weight", 2)
    hidden = qwen.shape("transformer_blocks.0.img_mlp.out.weight", 2)[1]
    rotated = head * 7 // 16  # 56 of 128 in published networks
    if inner != width or width % head or rotated % 2 or head % 2 or hidden % rows:
        raise UnsupportedLayout(qwen.path, f"heads of {head} do not fit its width of {width}")
    return {
        "in_channels": channels,
        "out_channels": qwen.shape("proj_out.weight", 2)[0],
        "num_layers": qwen.count("transformer_blocks.{}."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "context_in_dim": qwen.shape("txt_in.in_layer.weight", 2)[1],
        "mlp_ratio": hidden // rows,
        "axes_dims_rope": (head - 2 * rotated, rotated, rotated),
    }


def build_transformer(
    weights: Weights, dtype: torch.dtype
) -> Network[QwenImage21Transformer2DModel] | None:
    """The transformer of a file; None if there is none."""
    qwen = transformer_of(weights)
    if MARK not in qwen.tensors:
        return None
    from diffusers import QwenImage21Transformer2DModel
    from diffusers.models.transformers.transformer_qwenimage21 import (
        QwenImage21Rope,
        QwenImage21TemporalTimesteps,
    )

    config = transformer_config(qwen)

    def factory() -> QwenImage21Transformer2DModel:
        module = QwenImage21Transformer2DModel(**config)
        # Tables that no file holds; for training they must not come from inference mode.
        with torch.device("cpu"), torch.inference_mode(False):
            axes = list(config["axes_dims_rope"])
            module.pos_embed = QwenImage21Rope(theta=10000, axes_dim=axes)
            module.time_text_embed.time_proj = QwenImage21TemporalTimesteps(timestep_dim=256)
        return module

    return assemble(factory, qwen.tensors, dtype, weights.path, parts=_parts(qwen))


def _parts(qwen: Weights) -> dict[str, Part]:
    """The halves of fused weights: the gate, then what goes through it."""
    parts: dict[str, Part] = {}
    for number in range(qwen.count("transformer_blocks.{}.")):
        fused = _FUSED.format(number)
        if fused in qwen.tensors:
            rows = qwen.shape(fused, 2)[0]
            block = fused.removesuffix("gate_up.weight")
            parts[f"{block}gate_layer.weight"] = Part(fused, ((0, rows // 2),))
            parts[f"{block}proj.weight"] = Part(fused, ((rows // 2, rows),))
    return parts
