"""Tiny transformers of MiniMax-H3 with random weights, in the layouts of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.load import unet_of
from models.memory import choose_policy
from models.weights import Weights

PROMPT: Final = 24  # width
FILM: Final = 24  # channels
SOUND: Final = 64  # of both sides

_NAMES: Final = {
    "token_refiner.refiner_blocks.": "token_refiner.blocks.",
    "time_embedder.linear_1.": "time_embedder.proj_in.",
    "time_embedder.linear_2.": "time_embedder.proj_out.",
    "context_embedder.": "condition_proj.",
    "norm_out.norm.": "final_layer.norm.",
    "norm_out.linear.": "final_layer.adaln_proj.linear.",
    "audio_proj_out.": "final_layer.audio_out.",
    "audio_proj_in.": "audio_patch_proj.",
    ".attn.norm_q.": ".attn.q_norm.",
    ".attn.norm_k.": ".attn.k_norm.",
    ".attn.to_out.0.": ".attn.out_proj.",
    ".ff.net.0.proj.": ".mlp.fc1.",
    ".ff.net.2.": ".mlp.fc2.",
}
_STARTS: Final = {
    "transformer_blocks.": "blocks.", "proj_in.": "video_patch_proj.",
    "proj_out.": "final_layer.video_out.",
}  # fmt: skip


def transformer(**changes: Any) -> Any:
    """One of two blocks; the same weights each time."""
    from diffusers import MiniMaxH3Transformer3DModel

    module = MiniMaxH3Transformer3DModel(
        **{
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "hidden_size": 20,
            "num_layers": 2,
            "num_refiner_layers": 1,
            "ffn_dim": 28,
            "text_dim": PROMPT,
            "freq_dim": 16,
            "time_embed_hidden_dim": 18,
            "time_embed_dim": 12,
            "rope_freq_dim": 2,
        }
        | changes
    ).eval()
    chance = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.2, generator=chance)
    return module


def tensors(module: Any, prefix: str = "", *, is_diffusers: bool = False) -> dict[str, Tensor]:
    """Its weights, as files of the authors have them, or as diffusers does."""
    found = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    if not is_diffusers:
        found = dict(_original(name, found) for name in found if ".to_k." not in name
                     and ".to_v." not in name)  # fmt: skip
    return {prefix + name: tensor for name, tensor in found.items()}


def _original(name: str, found: dict[str, Tensor]) -> tuple[str, Tensor]:
    tensor = found[name]
    if ".to_q." in name:
        joined = torch.cat([found[name.replace(".to_q.", f".to_{kind}.")] for kind in "qkv"])
        tensor, name = joined, name.replace(".to_q.", ".qkv_proj.")
    if ".ff.net.0.proj." in name:
        tensor = torch.cat(tensor.chunk(2)[::-1])
    for theirs, ours in _STARTS.items():
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs)
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name, tensor


def weights(module: Any, prefix: str = "", *, is_diffusers: bool = False) -> Weights:
    """Those of an opened file, with the frequencies that tell how much of a head is rotated."""
    found = tensors(module, prefix, is_diffusers=is_diffusers)
    found[f"{prefix}rope.inv_freq"] = module.rope.inv_freq.clone()
    return Weights(path=Path("tiny.safetensors"), tensors=found)


def handle(module: Any) -> ModelHandle:
    """A MODEL of its weights that computes on the CPU."""
    return unet_of(weights(module), choose_policy(cpu=True))


def normal(seed: int, *shape: int) -> Tensor:
    """Noise that is the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
