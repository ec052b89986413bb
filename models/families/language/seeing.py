"""What a language model makes of pictures: features in the place of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.families.language.layout import Layout
from models.network import Network
from models.stored.holding import Storage

if TYPE_CHECKING:
    from models.text.chunks import Picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A picture as the text model takes it."""

    features: Tensor  # [N, D]
    grid: tuple[int, int, int]  # N as frames, rows and columns
    deeper: tuple[Tensor, ...] = ()  # [N, D] each: what is added after the first layers
    seconds: float | None = None  # between frames; None: it is no video


@dataclass(frozen=True, kw_only=True, eq=False)
class Span:
    """Where a picture is in a sequence."""

    start: int
    seen: Seen

    @property
    def stop(self) -> int:
        """The first token after it."""
        return self.start + len(self.seen.features)


@dataclass(frozen=True, kw_only=True)
class Eyes:
    """How a kind of language model sees."""

    build: Callable[[Layout, torch.dtype, Storage], Network[Any] | None]
    look: Callable[[Any, Picture], Seen]  # by the network that `build` made, where it is placed
    mark: str  # what stands for a picture in templates
    frame: str  # how a picture is introduced in a prompt, with the mark in it
    # (text model, embedded tokens [1, T, D], pictures in them) -> what else the model takes.
    arrange: Callable[[Any, Tensor, Sequence[Span]], Arranged]


@dataclass(frozen=True, kw_only=True, eq=False)
class Arranged:
    """A sequence as the text model takes it."""

    embeds: Tensor  # [1, T, D]
    arguments: dict[str, Any] = field(default_factory=dict)
    ahead: int = 0  # positions that later tokens have less than their number in the sequence
