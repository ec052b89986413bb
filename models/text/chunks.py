"""Arranges tokens in chunks of the length that a text encoder takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from torch import Tensor

LONG_GROUP: Final = 8  # a group of so many tokens may be cut at the border of a chunk


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, or the frames of a video, in a prompt for a language model that sees."""

    frames: Tensor  # [F, H, W, 3], 0 to 1
    is_video: bool = False


@dataclass(frozen=True)
class Token:
    """A token id, or one row [D] of an embedding in its place."""

    value: int | Tensor
    weight: float = 1.0
    group: int = 0  # number of the piece of the prompt it comes from; 0: not from the prompt
    picture: Picture | None = None  # what stands in its place, for language models that see


@dataclass(frozen=True, kw_only=True)
class ChunkFormat:
    """How an encoder wants its tokens."""

    end: int
    pad: int
    start: int | None = None
    length: int | None = 77  # tokens of a chunk; None: one chunk of any length
    minimum: int = 0  # a chunk of any length is padded to at least this
    padding: int = 0  # and with at least so many pads

    def empty(self, length: int) -> list[Token]:
        """The chunk of the empty prompt, at a length."""
        return self._fill(self._begin(), length)

    def chunks(self, groups: Iterable[Sequence[Token]]) -> list[list[Token]]:
        """Chunks that hold all groups in order; groups are numbered from 1 on."""
        finished: list[list[Token]] = []
        chunk = self._begin()
        for number, group in enumerate(groups, start=1):
            rest = [replace(token, group=number) for token in group]
            while self.length is not None and len(rest) > (room := self.length - len(chunk) - 1):
                if len(rest) >= LONG_GROUP:
                    chunk += rest[:room]
                    rest = rest[room:]
                finished.append(self._fill(chunk, self.length))
                chunk = self._begin()
            chunk += rest
        finished.append(self._fill(chunk, self.length or self.minimum))
        return finished

    def _begin(self) -> list[Token]:
        return [] if self.start is None else [Token(self.start)]

    def _fill(self, chunk: list[Token], length: int) -> list[Token]:
        ended = [*chunk, Token(self.end)]
        return ended + [Token(self.pad)] * max(length - len(ended), self.padding)


CLIP_L: Final = ChunkFormat(start=49406, end=49407, pad=49407)
CLIP_G: Final = ChunkFormat(start=49406, end=49407, pad=0)
T5: Final = ChunkFormat(end=1, pad=0, length=None, minimum=77)
