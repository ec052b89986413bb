"""CLIP text encoders: run on rows of tokens, embeddings among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import InvalidInput
from models.text.chunks import Token
from models.text.encoder import TextEncoder


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipEncoder(TextEncoder):
    """A CLIP text encoder, and which of its outputs a model family is trained on."""

    layer: int = -1  # whose output is used, from the end
    is_normalised: bool = True  # whether that goes through the final norm
    is_projected: bool = False  # whether pooled goes through the projection, if there is one
    left_out: int = 0  # layers at the end that its file lacks; the last one speaks for them

    def run(
        self,
        model: Any,
        rows: Sequence[Sequence[Token]],
        layer: int | None,
        is_projected: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """See `encode_clip`."""
        chunk_format = self.tokenizer.chunk_format
        wanted = self.layer if layer is None else layer
        return encode_clip(
            model,
            rows,
            end=chunk_format.end,
            pad=chunk_format.pad,
            layer=min(wanted + self.left_out, -1),
            is_normalised=self.is_normalised,
            is_projected=self.is_projected and is_projected,
        )

    def outer_name(self, name: str) -> str:
        """As CLIPTextModelWithProjection has it: `text_model....` and `text_projection.weight`."""
        inner = name.removeprefix("text_model.")
        return inner if inner.startswith("text_projection.") else f"text_model.{inner}"


def encode_clip(
    model: nn.Module,
    rows: Sequence[Sequence[Token]],
    *,
    end: int,
    pad: int,
    layer: int = -1,
    is_normalised: bool = True,
    is_projected: bool = False,
) -> tuple[Tensor, Tensor]:
    """(hidden [R, T, D], pooled [R, P]) of rows of T tokens.

    hidden is the output of the `layer`-th transformer layer from the end (-1: the last), after the
    final norm if that is wanted; pooled is the normalised last layer's at the first end token,
    projected if the model has a projection and that is wanted. Embeddings of another width than
    the model's are dropped, with pads at the end instead. Raises InvalidInput for a layer that the
    model lacks.
    """
    inner: Any = getattr(model, "text_model", model)
    layers = inner.encoder.layers
    if not 1 <= -layer <= len(layers):
        raise InvalidInput(f"the text encoder has {len(layers)} layers, there is no {layer}")
    table = inner.embeddings.token_embedding
    fitting = [fitting_tokens(row, table.embedding_dim, pad) for row in rows]
    hidden = torch.stack([embed_tokens(row, table) for row in fitting])
    hidden = hidden + inner.embeddings.position_embedding.weight[: hidden.shape[1]]
    mask = torch.full((hidden.shape[1],) * 2, float("-inf")).triu(1).to(hidden)
    chosen = hidden
    for number, block in enumerate(layers, start=1):
        hidden = block(hidden, mask[None, None])
        if number == len(layers) + 1 + layer:
            chosen = hidden
    last = inner.final_layer_norm(hidden)
    pooled = last[torch.arange(len(rows)), [_first_end(row, end) for row in fitting]]
    projection = getattr(model, "text_projection", None)
    if is_projected and projection is not None:
        pooled = projection(pooled)
    if is_normalised:
        chosen = last if layer == -1 else inner.final_layer_norm(chosen)
    return chosen, pooled


def fitting_tokens(row: Sequence[Token], width: int, pad: int) -> list[Token]:
    """The tokens without embeddings of another width, as many as before by pads at the end."""
    kept = [t for t in row if isinstance(t.value, int) or t.value.shape[-1] == width]
    return kept + [Token(pad)] * (len(row) - len(kept))


def embed_tokens(row: Sequence[Token], table: nn.Embedding) -> Tensor:
    """Vectors [T, D] of tokens: rows of the table, or the embeddings' own."""
    ids = torch.tensor([token.value if isinstance(token.value, int) else 0 for token in row])
    vectors: Tensor = table(ids.to(table.weight.device))
    for position, token in enumerate(row):
        if isinstance(token.value, Tensor):
            vectors[position] = token.value.to(vectors)
    return vectors


def _first_end(row: Sequence[Token], end: int) -> int:
    return next(i for i, t in enumerate(row) if isinstance(t.value, int) and t.value == end)
