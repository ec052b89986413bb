"""One text encoder of a model: its network, its tokenizer, and how strongly it is patched."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from models.memory import Policy
from models.network import Network, Patches
from models.protocol.hooks import merged
from models.text.chunks import Token
from models.text.tokenizer import PromptTokenizer
from models.text.weighting import encode_weighted

# A prompt's chunks by encoder: "l", "g", "h", "t5xxl".
Chunks = Mapping[str, Sequence[Sequence[Token]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class TextEncoder:
    """A text encoder. Clones with other patches share the network."""

    number: int  # its place among the encoders of its family, from 1 on: LoRA files count so
    network: Network[Any]
    tokenizer: PromptTokenizer
    patches: Patches = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What files call it: clip_l, clip_g, clip_h, t5xxl."""
        return self.tokenizer.encoder

    @property
    def key(self) -> str:
        """What its tokens go by: l, g, h, t5xxl."""
        return self.name.removeprefix("clip_")

    def patched(self, patches: Patches) -> Self:
        """The encoder with these patches besides those that it has."""
        return replace(self, patches=merged([self.patches, patches]))

    def encode(
        self,
        chunks: Sequence[Sequence[Token]],
        policy: Policy,
        *,
        layer: int | None = None,
        is_projected: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """(cond [1, T, D], pooled [1, P] or None) of chunks; float32 on the CPU.

        `layer` counts from the end (-1: the last); None is what the family takes. Pooled may be
        wanted without the projection that the family puts it through.
        """
        self.network.patch(self.patches)
        with policy.using(self.network, policy.text_device) as model:

            def encode_rows(rows: Sequence[Sequence[Token]]) -> tuple[Tensor, Tensor | None]:
                hidden, pooled = self.run(model, rows, layer, is_projected)
                return _home(hidden), None if pooled is None else _home(pooled)

            return encode_weighted(chunks, self.tokenizer.chunk_format, encode_rows)

    @abstractmethod
    def run(
        self,
        model: Any,
        rows: Sequence[Sequence[Token]],
        layer: int | None,
        is_projected: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """(hidden [R, T, D], pooled [R, P] or None) of R rows of T tokens."""

    def further_tensors(self) -> dict[str, Tensor]:
        """What files of this encoder hold besides the weights of its network."""
        return {}

    @abstractmethod
    def outer_name(self, name: str) -> str:
        """The name that a weight of the network has in files of this encoder."""


def _home(tensor: Tensor) -> Tensor:
    return tensor.to("cpu", torch.float32)
