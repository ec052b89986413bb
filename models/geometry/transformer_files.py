"""The shape of a vision transformer in a file."""

from __future__ import annotations

from models.errors import UnsupportedLayout
from models.geometry.transformer import PATCH, TransformerShape
from models.weights import Weights

_HEAD = 64


def transformer_shape(weights: Weights, last_epsilon: float = 1e-6) -> TransformerShape:
    """Of tensors under the names of DINOv2's authors. Raises ModelFileError."""
    width, colours, *patch = weights.shape("patch_embed.proj.weight", 4)
    if colours != 3 or patch != [PATCH, PATCH] or width % _HEAD:
        raise UnsupportedLayout(
            weights.path, f"it is no DINOv2 of patches of {PATCH} pixels and heads of {_HEAD}"
        )
    patches = weights.shape("pos_embed", 3)[1] - 1
    grid = round(patches**0.5)
    if grid * grid != patches:
        raise UnsupportedLayout(weights.path, f"its {patches} positions are no square")
    is_gated = "blocks.0.mlp.w12.weight" in weights.tensors
    inner = "w3" if is_gated else "fc2"
    blocks = weights.count("blocks.{}.")
    names = (f"blocks.{i}.attn.q_norm.weight" for i in range(blocks))
    joint = [i for i, name in enumerate(names) if name in weights.tensors]
    has_registers = "register_tokens" in weights.tensors
    return TransformerShape(
        width=width,
        blocks=blocks,
        hidden=weights.shape(f"blocks.0.mlp.{inner}.weight", 2)[1],
        grid=grid,
        is_gated=is_gated,
        registers=weights.shape("register_tokens", 3)[1] if has_registers else 0,
        joint_from=joint[0] if joint else None,
        last_epsilon=last_epsilon,
    )
