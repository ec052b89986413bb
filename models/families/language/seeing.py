"""What a language model makes of pictures: features in the place of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.families.language.layout import Layout
from models.network import Network
from models.stored.holding import Storage
from models.text.chunks import Picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A picture as the text model takes it."""

    features: Tensor  # [N, D]
    grid: tuple[int, int, int]  # N as frames, rows and columns
    deeper: tuple[Tensor, ...] = ()  # [N, D] each: what is added after the first layers
    time_step: int = 1  # how far apart the positions of frames are


@dataclass(frozen=True, kw_only=True, eq=False)
class Span:
    """Where a picture is in a sequence."""

    start: int
    seen: Seen

    @property
    def stop(self) -> int:
        """The first token after it."""
        return self.start + len(self.seen.features)


@dataclass(frozen=True, kw_only=True, eq=False)
class Arranged:
    """A sequence as the text model takes it."""

    embeds: Tensor  # [1, T, D]
    arguments: dict[str, Any] = field(default_factory=dict)
    ahead: int = 0  # how much less the positions of later tokens are than their numbers


@dataclass(frozen=True, kw_only=True)
class Eyes:
    """How a kind of language model sees."""

    build: Callable[[Layout, torch.dtype, Storage], Network[Any] | None]
    look: Callable[[Any, Picture], Seen]  # by the network that `build` made, where it is placed
    mark: str  # what stands for a picture in prompts
    # What a picture is introduced by, with the mark in it; films may be several pictures.
    introduce: Callable[[Picture], Sequence[tuple[str, Picture]]]
    outer_name: Callable[[str], str]  # of a weight of that network, in files
    # (text model, embedded tokens [1, T, D], pictures in them) -> all that the model takes.
    arrange: Callable[[Any, Tensor, Sequence[Span]], Arranged]


def resized(frames: Tensor, height: int, width: int, method: str) -> Tensor:
    """Frames [F, H, W, C] of 0 to 1 as [F, 3, height, width], without alpha."""
    pictures = frames[..., :3].movedim(-1, 1).float()
    if pictures.shape[1] == 1:
        pictures = pictures.expand(-1, 3, -1, -1)
    if pictures.shape[-2:] == (height, width):
        return pictures
    made: Tensor = interpolate(pictures, (height, width), mode=method, antialias=True)
    return made.clamp(0.0, 1.0)
