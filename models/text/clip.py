"""Runs a CLIP text encoder on rows of tokens, embeddings among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.errors import InvalidInput
from models.text.casting import call_in
from models.text.chunks import Token

if TYPE_CHECKING:
    from transformers import CLIPTextModel


def encode_clip(
    model: CLIPTextModel,
    rows: Sequence[Sequence[Token]],
    *,
    end: int,
    pad: int,
    layer: int = -1,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """(hidden [R, T, D], pooled [R, D]) of rows of T tokens, computed in `dtype`, else the model's.

    hidden is the output of the `layer`-th transformer layer from the end (-1: the last) after the
    final norm; pooled is the last layer's at the first end token. Embeddings of another width than
    the model's are dropped, with pads at the end instead. Raises InvalidInput for a layer that the
    model lacks.
    """
    inner: Any = getattr(model, "text_model", model)
    layers = inner.encoder.layers
    if not 1 <= -layer <= len(layers):
        raise InvalidInput(f"the text encoder has {len(layers)} layers, there is no {layer}")
    fitting = [_fitting(row, inner.embeddings.token_embedding.embedding_dim, pad) for row in rows]
    table = inner.embeddings.token_embedding
    dtype = dtype or table.weight.dtype
    hidden = torch.stack([_embed(row, table, dtype) for row in fitting])
    hidden = hidden + inner.embeddings.position_embedding.weight[: hidden.shape[1]].to(dtype)
    mask = torch.full((hidden.shape[1],) * 2, float("-inf")).triu(1).to(hidden)
    chosen = hidden
    for number, block in enumerate(layers, start=1):
        hidden = call_in(block, dtype, hidden, mask[None, None])
        if number == len(layers) + 1 + layer:
            chosen = hidden
    last = call_in(inner.final_layer_norm, dtype, hidden)
    ends = [_first_end(row, end) for row in fitting]
    return call_in(inner.final_layer_norm, dtype, chosen), last[torch.arange(len(rows)), ends]


def _fitting(row: Sequence[Token], width: int, pad: int) -> list[Token]:
    kept = [t for t in row if isinstance(t.value, int) or t.value.shape[-1] == width]
    return kept + [Token(pad)] * (len(row) - len(kept))


def _embed(row: Sequence[Token], table: nn.Embedding, dtype: torch.dtype) -> Tensor:
    """Vectors [T, D] of tokens: rows of the table, or the embeddings' own."""
    ids = torch.tensor([token.value if isinstance(token.value, int) else 0 for token in row])
    vectors: Tensor = table(ids.to(table.weight.device)).to(dtype)
    for position, token in enumerate(row):
        if isinstance(token.value, Tensor):
            vectors[position] = token.value.to(vectors)
    return vectors


def _first_end(row: Sequence[Token], end: int) -> int:
    return next(i for i, t in enumerate(row) if isinstance(t.value, int) and t.value == end)
