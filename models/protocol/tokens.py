"""Tokens as packs know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.text.chunks import Picture, Token

Pairs = Sequence[Sequence[tuple[Any, ...]]]  # chunks of (id or embedding, weight[, word id])
Tokens = Mapping[str, Pairs]  # by encoder


def as_pairs(
    chunks: Sequence[Sequence[Token]], with_word_ids: bool = False
) -> list[list[tuple[Any, ...]]]:
    """Chunks as lists of tuples, pictures in the place of ids."""
    return [[_as_pair(token, with_word_ids) for token in chunk] for chunk in chunks]


def _as_pair(token: Token, with_word_ids: bool) -> tuple[Any, ...]:
    value = token.value if token.picture is None else token.picture
    return (value, token.weight, token.group) if with_word_ids else (value, token.weight)


def as_tokens(
    chunks: Mapping[str, Sequence[Sequence[Token]]], with_word_ids: bool = False
) -> dict[str, Any]:
    """Chunks as ``{"l": [[(id or embedding, weight), ...], ...]}``."""
    return {key: as_pairs(found, with_word_ids) for key, found in chunks.items()}


def from_pairs(pairs: Pairs) -> list[list[Token]]:
    """The inverse of `as_pairs`."""
    return [[_from_pair(*pair) for pair in chunk] for chunk in pairs]


def _from_pair(value: Any, weight: Any, *more: Any) -> Token:
    group = int(more[0]) if more else 0
    if isinstance(value, Picture):
        return Token(0, float(weight), group, value)
    return Token(value, float(weight), group)


def as_chunks(tokens: Tokens) -> dict[str, list[list[Token]]]:
    """The inverse of `as_tokens`."""
    return {key: from_pairs(pairs) for key, pairs in tokens.items()}
