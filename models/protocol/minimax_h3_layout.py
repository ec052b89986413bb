"""Where the tokens of MiniMax-H3 are: one sequence of a prompt, what is given, a sound, a film.

As in diffusers' modular pipeline. Positions are (time, height, width): a unit of time is a fortieth
of a second, a latent frame stands for one or four frames of 24 a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt
from typing import Final

import torch
from torch import Tensor

FILM, TEXT, SOUND = 0, 1, 2  # tags of tokens: rows of the network's tables
PATCH: Final = 2  # sides of a token, in latent pixels
SIDES: Final = 2  # of a sound: left and right
_FRAME: Final = 5 / 3  # units of time of a frame
_SPANS: Final = (1, 4, 4, 4, 4)  # frames of latent frames, again and again
_SPACE: Final = 32  # units of height or width of a square film
KEYFRAMES: Final = ("first", "last")


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """A picture, a film, a sound, or a film with its sound, which the network sees as it is.

    `keyframe` says which frame of the film a picture is; else it is something to refer to.
    """

    film: Tensor | None = None  # [1, C, t, h, w]
    sound: Tensor | None = None  # [1, 2 C, T]
    keyframe: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A sequence of S tokens. Those of films and sounds that are made come after all given ones."""

    positions: Tensor  # [S, 3]
    tags: Tensor  # [S]
    text: Tensor  # places in the sequence
    films: Tensor
    sounds: Tensor
    given_films: int  # how many of them are given
    given_sounds: int


class _Rows:
    """Collects tokens."""

    def __init__(self) -> None:
        self.positions: list[Tensor] = []
        self.tags: list[Tensor] = []
        self.places: dict[int, list[Tensor]] = {FILM: [], SOUND: []}
        self.length = 0

    def add(self, positions: Tensor, tag: int) -> None:
        self.places[tag].append(torch.arange(self.length, self.length + len(positions)))
        self.append(positions, torch.full((len(positions),), tag))

    def append(self, positions: Tensor, tags: Tensor) -> None:
        self.positions.append(positions)
        self.tags.append(tags)
        self.length += len(positions)

    def all(self, tag: int) -> Tensor:
        return torch.cat([torch.arange(0), *self.places[tag]])


def layout(
    tags: Sequence[int], given: Sequence[Given], film: tuple[int, int, int], sound: int
) -> Layout:
    """The sequence of a prompt with such tags, a latent film (t, h, w) and T frames of sound.

    What is given comes between them, in order.
    """
    rows = _Rows()
    times = torch.arange(len(tags), dtype=torch.float64)
    rows.append(torch.stack([times, torch.zeros_like(times), torch.zeros_like(times)], 1),
                torch.tensor(tags))  # fmt: skip
    clock = float(len(tags))
    target_columns = _columns(*film[1:])
    for block in given:
        clock = _add_given(rows, block, clock, film, target_columns)
    films, sounds = len(rows.all(FILM)), len(rows.all(SOUND))
    rows.add(_sound(sound, clock, target_columns), SOUND)
    rows.add(_film(film, list(_times(film[0], clock))), FILM)
    return Layout(
        positions=torch.cat(rows.positions),
        tags=torch.cat(rows.tags),
        text=torch.arange(len(tags)),
        films=rows.all(FILM),
        sounds=rows.all(SOUND),
        given_films=films,
        given_sounds=sounds,
    )


def _add_given(
    rows: _Rows, block: Given, clock: float, target: tuple[int, int, int], columns: Tensor
) -> float:
    """Add what is given; the time after it."""
    if block.film is None:
        assert block.sound is not None
        length = block.sound.shape[-1]
        rows.add(_sound(length, clock, columns), SOUND)
        return clock + length
    frames, height, width = block.film.shape[2:]
    shape = (frames, height, width)
    if block.keyframe is not None:
        is_last = block.keyframe == "last"
        time = clock + (_span(target[0]) - _FRAME if is_last else 0.0)
        rows.add(_film(shape, [time] * frames), FILM)
        return clock
    if frames == 1:
        rows.add(_film(shape, [clock]), FILM)
        return clock + 1
    length = 0
    if block.sound is not None:
        length = block.sound.shape[-1]
        rows.add(_sound(length, clock, _columns(height, width)), SOUND)
    rows.add(_film(shape, list(_times(frames, clock))), FILM)
    return clock + max(float(length), _span(frames))


def _spans(frames: int) -> list[float]:
    return [_FRAME * _SPANS[number % len(_SPANS)] for number in range(frames)]


def _span(frames: int) -> float:
    """How long latent frames last."""
    return sum(_spans(frames))


def _times(frames: int, begin: float) -> Iterator[float]:
    """When latent frames begin."""
    return accumulate(_spans(frames)[:-1], initial=begin)


def _axis(side: int, height: int, width: int) -> Tensor:
    """Where tokens are along a side of a latent film: around the middle of a square of its area."""
    ratio = side / sqrt(height * width)
    count = side // PATCH
    return (torch.arange(count, dtype=torch.float64) * (ratio / count) + (1 - ratio) / 2) * _SPACE


def _columns(height: int, width: int) -> Tensor:
    return _axis(width, height, width)


def _film(shape: tuple[int, int, int], times: Sequence[float]) -> Tensor:
    """Positions of a film's tokens: frame by frame, row by row."""
    _, height, width = shape
    axes = (
        torch.tensor(times, dtype=torch.float64),
        _axis(height, height, width),
        _columns(height, width),
    )
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def _sound(length: int, begin: float, columns: Tensor) -> Tensor:
    """Positions of a sound's tokens: the left side, at the first column, then the right one."""
    times = begin + torch.arange(length, dtype=torch.float64)
    sides = torch.stack([columns[0], columns[-1]]).repeat_interleave(length)
    return torch.stack([times.repeat(SIDES), torch.zeros_like(sides), sides], dim=1)
