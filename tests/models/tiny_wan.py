"""Tiny transformers of Wan with random weights, under the names of its authors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.load import unet_of
from models.memory import choose_policy
from models.weights import Weights

PROMPT: Final = 24  # width
IMAGE: Final = 20  # width of what an image encoder says
HEADS: Final = 2

_TOP = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "patch_embedding": "patch_embedding",
    "proj_out": "head.head",
}
_WHOLE = {
    "scale_shift_table": "head.modulation",
    "condition_embedder.image_embedder.pos_embed": "img_emb.emb_pos",
}
_BLOCK = {
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    **{
        f"attn{number}.{theirs}": f"{kind}_attn.{ours}"
        for number, kind in ((1, "self"), (2, "cross"))
        for theirs, ours in (
            ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"), ("norm_q", "norm_q"),
            ("norm_k", "norm_k"), ("add_k_proj", "k_img"), ("add_v_proj", "v_img"),
            ("norm_added_k", "norm_k_img"),
        )
    },
}  # fmt: skip


def transformer(**changes: Any) -> Any:
    """One of two blocks; the same weights each time."""
    from diffusers import WanTransformer3DModel

    module = WanTransformer3DModel(
        **{
            "num_attention_heads": HEADS,
            "attention_head_dim": 12,
            "text_dim": PROMPT,
            "freq_dim": 16,
            "ffn_dim": 40,
            "num_layers": 2,
        }
        | changes
    ).eval()
    chance = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.2, generator=chance)
    return module


def of_pictures(**changes: Any) -> Any:
    """One that sees the first frame, and what an image encoder says of it."""
    return transformer(in_channels=36, image_dim=IMAGE, added_kv_proj_dim=HEADS * 12, **changes)


def tensors(module: Any, prefix: str = "") -> dict[str, Tensor]:
    """Its weights, as Wan's authors call them."""
    return {
        prefix + _original(name): tensor.clone() for name, tensor in module.state_dict().items()
    }


def _original(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    stem, _, kind = name.rpartition(".")
    block = re.fullmatch(r"blocks\.(\d+)\.?(.*)", stem)
    if block is None:
        return f"{_TOP[stem]}.{kind}"
    if kind == "scale_shift_table":
        return f"blocks.{block[1]}.modulation"
    return f"blocks.{block[1]}.{_BLOCK[block[2]]}.{kind}"


def weights(module: Any, prefix: str = "") -> Weights:
    """Those of an opened file."""
    said = {"unet": {"num_attention_heads": HEADS}}
    return Weights(
        path=Path("tiny.safetensors"),
        tensors=tensors(module, prefix),
        metadata={"darkroom.config": json.dumps(said)},
    )


def handle(module: Any) -> ModelHandle:
    """A MODEL of its weights that computes on the CPU."""
    return unet_of(weights(module), choose_policy(cpu=True))


def normal(seed: int, *shape: int) -> Tensor:
    """Noise that is the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
