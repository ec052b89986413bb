"""Transformers of Qwen-Image: configuration from shapes, built by diffusers.

Wu et al. 2025, arXiv:2508.02324. Files have the names of diffusers, with or without a prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.protocol.qwen_positions import Positions
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import QwenImageTransformer2DModel

PATCH: Final = 2  # sides of a token, in latent pixels
MARK: Final = "transformer_blocks.0.txt_mod.1.weight"
_LAYERED_MARK: Final = "time_text_embed.addition_t_embedding.weight"


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    if MARK in weights.tensors:
        return weights
    return weights.below("model.diffusion_model.", "diffusion_model.", "transformer.")


def transformer_config(qwen: Weights) -> dict[str, Any]:
    """Arguments of QwenImageTransformer2DModel for the tensors of a transformer.

    Raises UnsupportedLayout for heads that do not fit.
    """
    width, channels = qwen.shape("img_in.weight", 2)
    (head,) = qwen.shape("transformer_blocks.0.attn.norm_q.weight", 1)
    rotated = head * 7 // 16  # 56 of 128 in published networks
    if width % head or rotated % 2 or head % 2:
        raise UnsupportedLayout(qwen.path, f"heads of {head} do not fit its width of {width}")
    return {
        "patch_size": PATCH,
        "in_channels": channels,
        "out_channels": qwen.shape("proj_out.weight", 2)[0] // PATCH**2,
        "num_layers": qwen.count("transformer_blocks.{}."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": qwen.shape("txt_in.weight", 2)[1],
        "axes_dims_rope": (head - 2 * rotated, rotated, rotated),
        "use_additional_t_cond": is_layered(qwen),
    }


def is_layered(qwen: Weights) -> bool:
    """Whether it takes pictures apart into layers: its frames are layers."""
    return _LAYERED_MARK in qwen.tensors


def build_transformer(
    weights: Weights, dtype: torch.dtype
) -> Network[QwenImageTransformer2DModel] | None:
    """The transformer of a file; None if there is none."""
    qwen = transformer_of(weights)
    if MARK not in qwen.tensors:
        return None
    from diffusers import QwenImageTransformer2DModel

    config = transformer_config(qwen)

    def factory() -> QwenImageTransformer2DModel:
        module = QwenImageTransformer2DModel(**config)
        # Theirs holds tables that are made where the module is: without memory.
        module.pos_embed = Positions(config["axes_dims_rope"])
        return module

    return assemble(factory, qwen.tensors, dtype, weights.path)
