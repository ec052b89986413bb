"""Windows of frames, for films longer than a model was trained for: where they are, what counts.

Windows that move from step to step: AnimateDiff's prompt travel (`uniform`). Weights and shuffled
noise: FreeNoise, Qiu et al. 2023, https://arxiv.org/abs/2310.15169.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import torch
from torch import Tensor

from models.errors import InvalidInput

Window = tuple[int, ...]  # the frames in it

_LEAST: Final = 1e-2  # weight of a frame: each has a say
_BITS: Final = 32


@dataclass(frozen=True, kw_only=True)
class FrameWindows:
    """How frames are dealt to windows. Raises InvalidInput for windows that never move on."""

    length: int
    overlap: int
    stride: int = 1  # how many distances between the frames of a window there are: 1, 2, 4, ...
    schedule: str = "standard_static"
    closed_loop: bool = False  # the last frame comes before the first one; of looped windows

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise InvalidInput(f"there is no schedule of windows '{self.schedule}'")
        if self.overlap >= self.length:
            raise InvalidInput(
                f"windows of {self.length} frames cannot overlap by {self.overlap}: take less"
            )

    def at(self, frames: int, step: int) -> list[Window]:
        """The windows of a step; together they hold every frame."""
        if frames <= self.length:
            return [tuple(range(frames))]
        found = list(dict.fromkeys(SCHEDULES[self.schedule](self, frames, step)))
        covered = set(chain.from_iterable(found))
        for frame in range(frames):
            if frame not in covered:
                start = min(frame, frames - self.length)
                found.append(tuple(range(start, start + self.length)))
                covered.update(found[-1])
        return found


def _static(windows: FrameWindows, frames: int, step: int) -> Iterator[Window]:
    """One after another, the last one so that it ends with the film."""
    last = frames - windows.length
    for start in (*range(0, last, windows.length - windows.overlap), last):
        yield tuple(range(start, start + windows.length))


def _batched(windows: FrameWindows, frames: int, step: int) -> Iterator[Window]:
    """One after another without overlap."""
    for start in range(0, frames, windows.length):
        yield tuple(range(start, min(start + windows.length, frames)))


def _placed(
    windows: FrameWindows, frames: int, step: int, *, closed: bool
) -> Iterator[tuple[int, int]]:
    """(start, distance of frames) of windows that begin elsewhere at each step."""
    kinds = min(windows.stride, math.ceil(math.log2(frames / windows.length)) + 1)
    part = _halving(step)
    offset = round(frames * part)
    end = frames + offset - (0 if closed else windows.overlap)
    for distance in (1 << kind for kind in range(kinds)):
        first = int(part * distance) + offset
        for start in range(first, end, windows.length * distance - windows.overlap):
            yield start % frames, distance


def _halving(step: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, ...: the bits of a number, mirrored at the point."""
    bits = f"{step:0{_BITS}b}"[::-1]
    return int(bits, 2) / (1 << len(bits))


def _looped(windows: FrameWindows, frames: int, step: int) -> Iterator[Window]:
    """Those that reach beyond the end go on at the beginning."""
    for start, distance in _placed(windows, frames, step, closed=windows.closed_loop):
        yield tuple((start + distance * n) % frames for n in range(windows.length))


def _uniform(windows: FrameWindows, frames: int, step: int) -> Iterator[Window]:
    """Those that reach beyond the end are moved back."""
    for start, distance in _placed(windows, frames, step, closed=False):
        first = min(start, frames - 1 - distance * (windows.length - 1))
        if first >= 0:
            yield tuple(first + distance * n for n in range(windows.length))


SCHEDULES: Final[Mapping[str, Callable[[FrameWindows, int, int], Iterator[Window]]]] = {
    "standard_static": _static,
    "standard_uniform": _uniform,
    "looped_uniform": _looped,
    "batched": _batched,
}


def _pyramid(window: Window, frames: int, overlap: int) -> Tensor:
    up = torch.arange(1, len(window) + 1)
    return torch.minimum(up, up.flip(0)).float()


def _relative(window: Window, frames: int, overlap: int) -> Tensor:
    places = torch.arange(len(window)).float()
    half = (len(window) - 1) / 2
    return (1 - (places - half).abs() / (half + _LEAST)).clamp(min=_LEAST)


def _flat(window: Window, frames: int, overlap: int) -> Tensor:
    return torch.ones(len(window))


def _overlap_linear(window: Window, frames: int, overlap: int) -> Tensor:
    weights = torch.ones(len(window))
    ramp = torch.linspace(_LEAST, 1, overlap)[: len(window)]
    if window[0] != 0:
        weights[: len(ramp)] = ramp
    if window[-1] != frames - 1:
        weights[len(weights) - len(ramp) :] = ramp.flip(0)
    return weights


WEIGHTS: Final[Mapping[str, Callable[[Window, int, int], Tensor]]] = {
    "pyramid": _pyramid,
    "relative": _relative,
    "flat": _flat,
    "overlap-linear": _overlap_linear,
}
"""How much the frames of a window count, by the window, the length of the film, and the overlap."""


def shuffled_noise(noise: Tensor, dim: int, windows: FrameWindows, seed: int) -> Tensor:
    """Noise in which frames beyond the first window are earlier ones, in another order.

    Windows then see noise that they have in common (FreeNoise, section 4.1).
    """
    frames = list(noise.unbind(dim))
    step = windows.length - windows.overlap
    source = torch.Generator().manual_seed(seed)
    for start in range(windows.length, len(frames), step):
        first = start - windows.length
        order: Sequence[int] = torch.randperm(step, generator=source).tolist()
        for place, index in zip(range(start, min(start + step, len(frames))), order, strict=False):
            frames[place] = frames[first + index]
    return torch.stack(frames, dim)
