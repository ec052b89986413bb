"""The text encoder CLIP-L of a file as a handle."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch

from models.families.clip_text import build_clip_text
from models.memory import Policy
from models.text.chunks import CLIP_L
from models.text.handle import TextHandle
from models.text.tokenizer import PromptTokenizer
from models.weights import Weights

_TOKENS: Final = "embeddings.token_embedding.weight"
_HALVES: Final = (torch.float16, torch.bfloat16)


def clip_l(
    weights: Weights, policy: Policy, embedding_folders: Iterable[Path], *prefixes: str
) -> TextHandle | None:
    """The encoder below the first of `prefixes` that is there; None if there is none."""
    network = build_clip_text(weights, _storage(weights, policy), *prefixes)
    if network is None:
        return None
    tokenizer = PromptTokenizer(
        encoder="clip_l", chunk_format=CLIP_L, embedding_folders=tuple(embedding_folders)
    )
    return TextHandle(network=network, tokenizer=tokenizer, policy=policy)


def _storage(weights: Weights, policy: Policy) -> torch.dtype:
    """The type that the weights of a text encoder are kept in.

    Where the CPU computes in float32, half precision is kept as it is and cast layer by layer: it
    runs once a prompt. LoRA is then rounded to that type, as the reference has it.
    """
    if policy.text_dtype != torch.float32 or policy.text_device.type != "cpu":
        return policy.text_dtype
    table = next((t for n, t in weights.tensors.items() if n.endswith(_TOKENS)), None)
    return table.dtype if table is not None and table.dtype in _HALVES else policy.text_dtype
