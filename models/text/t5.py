"""T5 text encoders: run on rows of tokens, embeddings among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.text.chunks import Token
from models.text.clip import embed_tokens, fitting_tokens
from models.text.encoder import TextEncoder


@dataclass(frozen=True, kw_only=True, eq=False)
class T5Encoder(TextEncoder):
    """A T5 encoder. Its last layer speaks always, and it has no pooled output."""

    def run(
        self,
        model: Any,
        rows: Sequence[Sequence[Token]],
        layer: int | None,
        is_projected: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """See `encode_t5`."""
        return encode_t5(model, rows, pad=self.tokenizer.chunk_format.pad), None

    def outer_name(self, name: str) -> str:
        """As T5EncoderModel has it."""
        return name


def encode_t5(model: Any, rows: Sequence[Sequence[Token]], *, pad: int) -> Tensor:
    """hidden [R, T, D] of rows of T tokens after the final norm.

    Pads are attended to like other tokens, which is how SD 3 and Flux were trained. Embeddings of
    another width than the model's are dropped, with pads at the end instead.
    """
    table = model.shared
    fitting = [fitting_tokens(row, table.embedding_dim, pad) for row in rows]
    hidden = torch.stack([embed_tokens(row, table) for row in fitting])
    bias = None  # of relative positions: the first layer computes it for all
    for block in model.encoder.block:
        hidden, bias, *_ = block(hidden, None, bias)
    normed: Tensor = model.encoder.final_layer_norm(hidden)
    return normed


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedT5Encoder(T5Encoder):
    """A T5 encoder, as Chroma takes it: nothing attends to pads, which attend to the prompt."""

    def run(
        self,
        model: Any,
        rows: Sequence[Sequence[Token]],
        layer: int | None,
        is_projected: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Each row for itself, as in diffusers' ChromaPipeline."""
        pad = self.tokenizer.chunk_format.pad
        table = model.shared
        found = []
        for row in rows:
            fitting = fitting_tokens(row, table.embedding_dim, pad)
            hidden = embed_tokens(fitting, table)[None]
            is_seen = torch.arange(len(fitting), device=hidden.device) < _length(fitting, pad)
            said = model.encoder(inputs_embeds=hidden, attention_mask=is_seen[None].long())
            found.append(said.last_hidden_state[0])
        return torch.stack(found), None


@dataclass(frozen=True, kw_only=True, eq=False)
class Umt5Encoder(T5Encoder):
    """A UMT5 encoder, as Wan takes it: zeros stand for pads, to which nothing attends."""

    def run(
        self,
        model: Any,
        rows: Sequence[Sequence[Token]],
        layer: int | None,
        is_projected: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Each row for itself up to its end, as in diffusers' WanPipeline."""
        pad = self.tokenizer.chunk_format.pad
        table = model.shared
        found = []
        for row in rows:
            fitting = fitting_tokens(row, table.embedding_dim, pad)
            hidden = embed_tokens(fitting[: _length(fitting, pad)], table)[None]
            said = model.encoder(inputs_embeds=hidden).last_hidden_state[0]
            found.append(functional.pad(said, (0, 0, 0, len(row) - len(said))))
        return torch.stack(found), None


def _length(row: Sequence[Token], pad: int) -> int:
    """How many tokens there are before the pads at the end."""
    length = len(row)
    while length > 1 and isinstance(row[length - 1].value, int) and row[length - 1].value == pad:
        length -= 1
    return length
