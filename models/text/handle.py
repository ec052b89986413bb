"""TextHandle: what flows through CLIP sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.memory import Policy
from models.network import Network, Patches, WeightPatch
from models.text.chunks import Token
from models.text.clip import encode_clip
from models.text.tokenizer import PromptTokenizer
from models.text.weighting import encode_weighted

if TYPE_CHECKING:
    from transformers import CLIPTextModel

# The value on CONDITIONING sockets: pairs of an encoded prompt [1, T, D] and its options.
Conditioning = list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class TextHandle:
    """A reference to a loaded CLIP text encoder and its tokenizer; a change makes a new handle."""

    network: Network[CLIPTextModel]
    tokenizer: PromptTokenizer
    policy: Policy
    layer: int = -1  # which layer's output is used, from the end
    patches: Patches = field(default_factory=dict)

    def clone(self, **changes: Any) -> TextHandle:
        """A handle on the same weights, with some fields replaced."""
        return replace(self, **changes)

    def with_layer(self, layer: int) -> TextHandle:
        """A handle that uses the n-th last layer, written -n."""
        return replace(self, layer=layer)

    def with_patches(self, patches: Patches) -> TextHandle:
        """A handle whose weights also have these patches, made after those it has."""
        merged: dict[str, tuple[WeightPatch, ...]] = {k: tuple(v) for k, v in self.patches.items()}
        for name, changes in patches.items():
            merged[name] = (*merged.get(name, ()), *changes)
        return replace(self, patches=merged)

    def tokenize(self, text: str) -> list[list[Token]]:
        """Chunks of 77 tokens."""
        return self.tokenizer.tokenize(text)

    def encode(self, tokens: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor]:
        """(cond [1, 77 chunks, D], pooled [1, D]) of chunks; float32 on the CPU."""
        self.network.patch(self.patches)
        with self.policy.using(self.network, self.policy.text_device) as model:

            def encode_rows(rows: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor]:
                chunk_format = self.tokenizer.chunk_format
                hidden, pooled = encode_clip(
                    model, rows, end=chunk_format.end, pad=chunk_format.pad, layer=self.layer
                )
                return hidden.to("cpu", torch.float32), pooled.to("cpu", torch.float32)

            cond, pooled = encode_weighted(tokens, self.tokenizer.chunk_format, encode_rows)
        assert pooled is not None
        return cond, pooled

    def encode_text(self, text: str, options: Mapping[str, Any] | None = None) -> Conditioning:
        """The CONDITIONING of a prompt."""
        cond, pooled = self.encode(self.tokenize(text))
        return [[cond, {"pooled_output": pooled, **(options or {})}]]
