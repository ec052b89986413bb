"""How what several text encoders make of a prompt becomes one conditioning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.errors import InvalidInput

# By encoder: its (cond [1, T, D], pooled [1, P] or None). What has no tokens is not in it.
Encoded = Mapping[str, tuple[Tensor, Tensor | None]]
# (cond [1, T, D], pooled [1, P]); pooled is None in families of which no encoder pools.
Joined = tuple[Tensor, Any]

# Widths of the usual encoders, for zeros in the place of one that is missing.
POOLED: Final[Mapping[str, int]] = {"l": 768, "g": 1280}
SEQUENCE: Final = 4096  # of T5-XXL
CHUNK: Final = 77


def alone(encoded: Encoded) -> Joined:
    """What the only encoder says (SD 1, SD 2, SDXL's refiner)."""
    ((cond, pooled),) = encoded.values()
    if pooled is None:
        raise InvalidInput("this text encoder has no pooled output")
    return cond, pooled


def tokens_alone(encoded: Encoded) -> Joined:
    """The tokens of the only encoder, which pools nothing (language models)."""
    ((cond, pooled),) = encoded.values()
    return cond, pooled


def side_by_side(encoded: Encoded) -> Joined:
    """The features of CLIP-L, then those of CLIP-G, of each token; G's pooled (SDXL)."""
    features, (more, pooled) = needed(encoded, "l")[0], needed(encoded, "g")
    assert pooled is not None
    return torch.cat([features, more], dim=-1), pooled


def one_after_another(encoded: Encoded) -> Joined:
    """The tokens of both CLIP encoders, side by side and as wide as T5's, then T5's (SD 3).

    Pooled is L's, then G's. Zeros stand for an encoder that is missing.
    """
    clip = _clip_features(encoded)
    t5 = encoded["t5xxl"][0] if "t5xxl" in encoded else torch.zeros(1, 0, SEQUENCE)
    if clip is None:
        clip = t5.new_zeros(1, 0 if t5.shape[1] else CHUNK, t5.shape[-1])
    width = max(clip.shape[-1], t5.shape[-1])
    sequences = [pad(sequence, (0, width - sequence.shape[-1])) for sequence in (clip, t5)]
    pooled = [_pooled(encoded, key) for key in POOLED]
    return torch.cat(sequences, dim=1), torch.cat(pooled, dim=-1)


def apart(encoded: Encoded) -> Joined:
    """The tokens of T5, and what CLIP-L pools (Flux)."""
    return needed(encoded, "t5xxl")[0], _pooled(encoded, "l")


def pooled_by_clip(encoded: Encoded) -> Joined:
    """The tokens of a language model, and what CLIP-L pools (Kandinsky 5)."""
    language = next((key for key in encoded if key != "l"), "qwen2_5_vl")
    return needed(encoded, language)[0], _pooled(encoded, "l")


def needed(encoded: Encoded, key: str) -> tuple[Tensor, Tensor | None]:
    """What an encoder says; raises InvalidInput if that is missing."""
    if key not in encoded:
        raise InvalidInput(
            f"this model needs the text encoder '{key}', which is not there or was given no tokens"
        )
    return encoded[key]


def _clip_features(encoded: Encoded) -> Tensor | None:
    """The features of L and G side by side; zeros where L is missing, nothing where both are."""
    if "g" not in encoded:
        return encoded["l"][0] if "l" in encoded else None
    more = encoded["g"][0]
    zeros = more.new_zeros(*more.shape[:2], POOLED["l"])
    return torch.cat([encoded["l"][0] if "l" in encoded else zeros, more], dim=-1)


def _pooled(encoded: Encoded, key: str) -> Tensor:
    pooled = encoded[key][1] if key in encoded else None
    return torch.zeros(1, POOLED[key]) if pooled is None else pooled
