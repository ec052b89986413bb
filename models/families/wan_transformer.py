"""Wan's transformers: configuration from shapes, built by diffusers.

Wan et al. 2025, arXiv:2503.20314. Files have the names of the authors or of diffusers, with or
without a prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

PATCH: Final = 2  # sides of a token, in latent pixels
HEAD: Final = 128  # channels of a head in all that was published
_MARK: Final = "blocks.0.self_attn.norm_q.weight"
_DIFFUSERS_MARK: Final = "blocks.0.attn1.norm_q.weight"
_CONDITIONS: Final = "condition_embedder"
_PREFIXES: Final = ("model.diffusion_model.", "diffusion_model.", "transformer.")
_IMAGE_POSITIONS: Final = ("img_emb.emb_pos", f"{_CONDITIONS}.image_embedder.pos_embed")
# What is in every network; what else there is belongs to variants that do other things as well.
_PARTS: Final = frozenset(
    {"patch_embedding", _CONDITIONS, "blocks", "proj_out", "scale_shift_table"}
)


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    below = weights.below(*_PREFIXES)
    for found in (weights, below):
        if {_MARK, _DIFFUSERS_MARK} & found.tensors.keys() and "patch_embedding.weight" in (
            found.tensors
        ):
            return found
    return Weights(path=weights.path, tensors={}, metadata=weights.metadata)


def transformer_config(wan: Weights) -> dict[str, Any]:
    """Arguments of WanTransformer3DModel for tensors with diffusers' names."""
    width, channels, *patch = wan.shape("patch_embedding.weight", 5)
    heads = wan.config("unet").get("num_attention_heads", width // HEAD)
    if width % heads or (width // heads) % 2:
        raise UnsupportedLayout(wan.path, f"{heads} heads do not fit its width of {width}")
    image = f"{_CONDITIONS}.image_embedder.norm1.weight"
    positions = _IMAGE_POSITIONS[1]
    added = "blocks.0.attn2.add_k_proj.weight"
    return {
        "patch_size": tuple(patch),
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": channels,
        "out_channels": wan.shape("proj_out.weight", 2)[0] // (patch[0] * patch[1] * patch[2]),
        "text_dim": wan.shape(f"{_CONDITIONS}.text_embedder.linear_1.weight", 2)[1],
        "freq_dim": wan.shape(f"{_CONDITIONS}.time_embedder.linear_1.weight", 2)[1],
        "ffn_dim": wan.shape("blocks.0.ffn.net.0.proj.weight", 2)[0],
        "num_layers": wan.count("blocks.{}."),
        "cross_attn_norm": "blocks.0.norm2.weight" in wan.tensors,
        "image_dim": wan.shape(image)[0] if image in wan.tensors else None,
        "added_kv_proj_dim": wan.shape(added)[1] if added in wan.tensors else None,
        "pos_embed_seq_len": wan.shape(positions)[1] if positions in wan.tensors else None,
    }


def build_transformer(
    weights: Weights, dtype: torch.dtype
) -> Network[WanTransformer3DModel] | None:
    """The transformer of a file; None if there is none.

    Raises UnsupportedLayout for variants with further parts, such as VACE and Animate.
    """
    wan = transformer_of(weights)
    if not wan.tensors:
        return None
    from diffusers import WanTransformer3DModel
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    names = _diffusers_names(wan)
    unknown = sorted({name.partition(".")[0] for name in names} - _PARTS)
    if unknown:
        raise UnsupportedLayout(
            wan.path, f"its part '{unknown[0]}' is of a variant of Wan that is not built here"
        )
    tensors = {theirs: wan.tensors[ours] for theirs, ours in names.items()}
    config = transformer_config(Weights(path=wan.path, tensors=tensors, metadata=wan.metadata))

    def factory() -> WanTransformer3DModel:
        module = WanTransformer3DModel(**config)
        with torch.device("cpu"):  # its tables are in no file
            module.rope = WanRotaryPosEmbed(
                config["attention_head_dim"], config["patch_size"], module.config.rope_max_seq_len
            )
        return module

    return assemble(factory, tensors, dtype, weights.path, originals=names)


def _diffusers_names(wan: Weights) -> dict[str, str]:
    """diffusers' name -> that in the file, of all tensors."""
    if _DIFFUSERS_MARK in wan.tensors:
        return {name: name for name in wan.tensors}
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

    ours, theirs = _IMAGE_POSITIONS
    plain = {name: name for name in wan.tensors if name != ours}
    names: dict[str, str] = convert_wan_transformer_to_diffusers(plain)
    if ours in wan.tensors:
        names[theirs] = ours
    return names
