"""The text encoders of each model family, and handles made of a checkpoint's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from models.families.clip_text import build_clip_text
from models.memory import Policy
from models.network import Network, Storage
from models.text.clip import ClipEncoder
from models.text.combination import FORMATS, Combination, Use
from models.text.encoder import TextEncoder
from models.text.handle import TextHandle
from models.text.joining import alone
from models.text.tokenizer import PromptTokenizer
from models.weights import Weights

SD1: Final = Combination(
    name="sd1",
    uses={"l": Use(prefixes=("cond_stage_model.transformer.", "clip_l.transformer."))},
    join=alone,
)

_TABLES: Final = ("token_embedding.weight", "shared.weight")
_HALVES: Final = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class TextFolders:
    """Where files that prompts and tokenizers need are looked for."""

    embeddings: tuple[Path, ...] = ()  # of `embedding:name` in prompts
    tokenizers: tuple[Path, ...] = ()  # vocabularies that come with no checkpoint


def sd1_text(weights: Weights, policy: Policy, folders: TextFolders) -> TextHandle | None:
    """The text encoder of a Stable Diffusion 1 checkpoint."""
    return text_of_checkpoint(SD1, weights, policy, folders)


def text_of_checkpoint(
    combination: Combination, weights: Weights, policy: Policy, folders: TextFolders
) -> TextHandle | None:
    """The text encoders of a checkpoint; None if it holds none of the family's."""
    parts = {key: weights.below(*use.prefixes) for key, use in combination.uses.items()}
    return text_of_parts(combination, parts, policy, folders)


def text_of_parts(
    combination: Combination, parts: Mapping[str, Weights], policy: Policy, folders: TextFolders
) -> TextHandle | None:
    """The handle of encoders' weights (without prefix), by encoder; None if there are none."""
    encoders: dict[str, TextEncoder] = {}
    for number, (key, use) in enumerate(combination.uses.items(), start=1):
        if key in parts:
            encoder = _encoder(key, use, number, parts[key], policy, folders)
            if encoder is not None:
                encoders[key] = encoder
    return (
        TextHandle(combination=combination, encoders=encoders, policy=policy) if encoders else None
    )


def _encoder(
    key: str, use: Use, number: int, weights: Weights, policy: Policy, folders: TextFolders
) -> TextEncoder | None:
    network: Network[Any] | None = build_clip_text(weights, storage_type(weights, policy))
    if network is None:
        return None
    if policy.text_storage is not None:
        network.keep_as(Storage(narrow_to=policy.text_storage))
    return ClipEncoder(
        number=number,
        network=network,
        tokenizer=PromptTokenizer(
            encoder=f"clip_{key}",
            chunk_format=FORMATS[key],
            embedding_folders=folders.embeddings,
        ),
        layer=use.layer,
        is_normalised=use.is_normalised,
        is_projected=use.is_projected,
    )


def storage_type(weights: Weights, policy: Policy) -> torch.dtype:
    """The type that the weights of a text encoder are kept in.

    Where the CPU computes in float32, half precision is kept as it is and cast layer by layer: it
    runs once a prompt. LoRA is then rounded to that type, as the reference has it.
    """
    if policy.text_dtype != torch.float32 or policy.text_device.type != "cpu":
        return policy.text_dtype
    table = next((t for n, t in weights.tensors.items() if n.endswith(_TABLES)), None)
    return table.dtype if table is not None and table.dtype in _HALVES else policy.text_dtype
