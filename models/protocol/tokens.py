"""Tokens as packs know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.text.chunks import Token

Pairs = Sequence[Sequence[tuple[Any, ...]]]  # chunks of (id or embedding, weight[, word id])
Tokens = Mapping[str, Pairs]  # by encoder


def as_pairs(
    chunks: Sequence[Sequence[Token]], with_word_ids: bool = False
) -> list[list[tuple[Any, ...]]]:
    """Chunks as lists of tuples."""
    return [
        [(t.value, t.weight, t.group) if with_word_ids else (t.value, t.weight) for t in chunk]
        for chunk in chunks
    ]


def as_tokens(
    chunks: Mapping[str, Sequence[Sequence[Token]]], with_word_ids: bool = False
) -> dict[str, Any]:
    """Chunks as ``{"l": [[(id or embedding, weight), ...], ...]}``."""
    return {key: as_pairs(found, with_word_ids) for key, found in chunks.items()}


def from_pairs(pairs: Pairs) -> list[list[Token]]:
    """The inverse of `as_pairs`."""
    return [
        [Token(value, float(weight), *(int(n) for n in more[:1])) for value, weight, *more in chunk]
        for chunk in pairs
    ]


def as_chunks(tokens: Tokens) -> dict[str, list[list[Token]]]:
    """The inverse of `as_tokens`."""
    return {key: from_pairs(pairs) for key, pairs in tokens.items()}
