"""Transformers of Z-Image: configuration from shapes, built by diffusers.

Z-Image Team 2025, arXiv:2511.22699. Weights keep the names of their authors, who have the
projections to queries, keys and values as one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.parts import joined, parts_of_conversion
from models.protocol.z_image_positions import Positions
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import ZImageTransformer2DModel

PATCH: Final = 2  # sides of a token, in latent pixels
# With the second alone it would be Lumina 2, which fills up no tokens.
MARKS: Final = ("cap_pad_token", "layers.0.attention.qkv.weight")
DIFFUSERS_MARKS: Final = ("cap_pad_token", "layers.0.attention.to_q.weight")

# Names in diffusers -> those of the authors.
_RENAMED: Final = {
    "all_x_embedder.2-1.": "x_embedder.",
    "all_final_layer.2-1.": "final_layer.",
    ".attention.norm_q.": ".attention.q_norm.",
    ".attention.norm_k.": ".attention.k_norm.",
    ".attention.to_out.0.": ".attention.out.",
}
_CUT: Final = ("to_q", "to_k", "to_v")


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    return (
        weights if _is_one(weights) else weights.below("model.diffusion_model.", "diffusion_model.")
    )


def recognise(weights: Weights) -> bool:
    """Fused projections, and tokens that fill up prompts."""
    return _is_one(transformer_of(weights))


def _is_one(weights: Weights) -> bool:
    return all(name in weights.tensors for name in MARKS)


def transformer_config(z_image: Weights) -> dict[str, Any]:
    """Arguments of ZImageTransformer2DModel for the tensors of a transformer (original names).

    Raises UnsupportedLayout for heads that do not fit.
    """
    width, values = z_image.shape("x_embedder.weight", 2)
    (head,) = z_image.shape("layers.0.attention.q_norm.weight", 1)
    if not head or width % head or head % 16:
        raise UnsupportedLayout(z_image.path, f"heads of {head} do not fit its width of {width}")
    side = head * 3 // 8  # of 128 in published networks: 32, 48 and 48
    return {
        "in_channels": values // PATCH**2,
        "dim": width,
        "n_layers": z_image.count("layers.{}."),
        "n_refiner_layers": z_image.count("noise_refiner.{}."),
        "n_heads": width // head,
        "n_kv_heads": width // head,
        "cap_feat_dim": z_image.shape("cap_embedder.1.weight", 2)[1],
        "axes_dims": [head - 2 * side, side, side],
    }


def build_transformer(
    weights: Weights, dtype: torch.dtype
) -> Network[ZImageTransformer2DModel] | None:
    """The transformer of a file; None if there is none."""
    z_image = transformer_of(weights)
    if not _is_one(z_image):
        return None
    from diffusers import ZImageTransformer2DModel
    from diffusers.loaders.single_file_utils import (
        convert_z_image_transformer_checkpoint_to_diffusers as convert,
    )

    config = transformer_config(z_image)
    tensors = {name: _row(name, tensor) for name, tensor in z_image.tensors.items()}

    def factory() -> ZImageTransformer2DModel:
        module = ZImageTransformer2DModel(**config)
        # Theirs keeps tables of the first call, which end at 512 rows, and may come from inference.
        module.rope_embedder = Positions(config["axes_dims"])
        return module

    parts = parts_of_conversion(convert, tensors)
    return assemble(factory, tensors, dtype, weights.path, parts=parts)


def _row(name: str, tensor: Tensor) -> Tensor:
    """A token as one row: tools that write GGUF drop the side of 1."""
    return tensor[None] if name.endswith("_pad_token") and tensor.ndim == 1 else tensor


def in_original_layout(weights: Weights) -> Weights:
    """A transformer in the layout of diffusers with its original names."""
    ending = f".attention.{_CUT[0]}.weight"
    blocks = [name.removesuffix(ending) for name in weights.tensors if name.endswith(ending)]
    fused = {
        f"{block}.attention.qkv": tuple(f"{block}.attention.{piece}" for piece in _CUT)
        for block in blocks
    }
    taken = {f"{piece}.weight" for pieces in fused.values() for piece in pieces}
    tensors = joined(weights.tensors, fused)
    for name, tensor in weights.tensors.items():
        if name not in taken:
            tensors[_original(name)] = tensor
    return replace(weights, tensors=tensors)


def _original(name: str) -> str:
    for theirs, original in _RENAMED.items():
        name = name.replace(theirs, original)
    return name
