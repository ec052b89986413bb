"""Applies the weights of a prompt to what a text encoder makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.text.chunks import ChunkFormat, Token

# Rows of tokens, all of one length -> ([rows, length, D], pooled [rows, P] or None).
EncodeRows = Callable[[Sequence[Sequence[Token]]], tuple[Tensor, Tensor | None]]


def encode_weighted(
    chunks: Sequence[Sequence[Token]], chunk_format: ChunkFormat, encode: EncodeRows
) -> tuple[Tensor, Tensor | None]:
    """The conditioning [1, T, D] of a prompt's chunks, and the pooled vector [1, P] of the first.

    A token of weight w moves from the empty prompt's vector e at its position to
    ``e + (z - e) w``. Chunks are joined along the token axis; pooled is not weighted.
    """
    weights = torch.tensor([[token.weight for token in chunk] for chunk in chunks])
    is_weighted = bool((weights != 1.0).any())
    rows = list(chunks)
    if is_weighted:
        rows.append(chunk_format.empty(max(len(chunk) for chunk in chunks)))
    encoded, pooled = encode(rows)
    result = encoded[: len(chunks)]
    if is_weighted:
        empty = encoded[len(chunks) :]
        scale = weights.to(encoded).unsqueeze(-1)
        # A weight of exactly 1 must not touch the vector, not even by rounding.
        result = torch.where(scale == 1.0, result, empty + (result - empty) * scale)
    first = pooled[:1] if pooled is not None else None
    return result.reshape(1, -1, result.shape[-1]), first
