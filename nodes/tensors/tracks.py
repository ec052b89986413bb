"""Tracks: the ways of points through a film, as TRACKS sockets carry them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Points that move: `path` [T, N, 2] in pixels (x, y), and where they are seen [T, N]."""

    path: Tensor
    seen: Tensor  # of booleans

    def __post_init__(self) -> None:
        if self.path.ndim != 3 or self.path.shape != (*self.seen.shape, 2):
            raise InvalidInput("tracks have a point (x, y), and whether it is seen, in each frame")

    @property
    def length(self) -> int:
        """How many frames they have."""
        return self.path.shape[0]

    def of_length(self, length: int) -> Tracks:
        """The first frames; after their last one points stay where they are, unseen."""
        missing = max(length - self.length, 0)
        path = torch.cat([self.path, self.path[-1:].expand(missing, -1, -1)])
        seen = torch.cat([self.seen, self.seen.new_zeros(missing, self.seen.shape[1])])
        return Tracks(path=path[:length], seen=seen[:length])

    def masked(self, mask: Tensor, size: tuple[int, int]) -> Tracks:
        """Points are seen where a mask [T, H, W] of a film of `size` (width, height) is.

        Of a mask with fewer frames the last one counts for the rest.
        """
        flat = mask.reshape(-1, *mask.shape[-2:])
        if not flat.numel():
            raise InvalidInput("the mask of tracks is empty")
        frames = torch.arange(self.length).clamp(max=len(flat) - 1)[:, None]
        scale = torch.tensor([flat.shape[2] / size[0], flat.shape[1] / size[1]])
        x, y = (self.path * scale).long().unbind(-1)
        inside = (x >= 0) & (y >= 0) & (x < flat.shape[2]) & (y < flat.shape[1])
        x, y = x.clamp(0, flat.shape[2] - 1), y.clamp(0, flat.shape[1] - 1)
        return Tracks(path=self.path, seen=self.seen & inside & (flat[frames, y, x] > 0.5))


def as_tracks(value: Any) -> Tracks:
    """What came on a TRACKS link. Raises InvalidInput for anything else."""
    if not isinstance(value, Tracks):
        raise InvalidInput(f"these are no tracks, but of the type {type(value).__name__}")
    return value


def joined(first: Tracks, second: Tracks) -> Tracks:
    """The points of both; those of the shorter one go unseen when it ends."""
    length = max(first.length, second.length)
    parts = [tracks.of_length(length) for tracks in (first, second)]
    return Tracks(
        path=torch.cat([part.path for part in parts], dim=1),
        seen=torch.cat([part.seen for part in parts], dim=1),
    )


def read_tracks(text: str) -> list[Tensor]:
    """The points [T, 2] of each track of a JSON list of lists of {"x": ..., "y": ...}, in pixels.

    A list of points is one track. Raises InvalidInput for anything else.
    """
    try:
        document = json.loads(text or "[]")
        several = document if not document or isinstance(document[0], list) else [document]
        tracks = [_points(track) for track in several if track]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            'tracks are JSON: a list of tracks, each a list of points {"x": 0, "y": 0} in pixels'
        ) from error
    return tracks


def _points(track: Sequence[Mapping[str, Any]]) -> Tensor:
    points = torch.tensor([[float(point["x"]), float(point["y"])] for point in track])
    if not points.isfinite().all():
        raise ValueError("no number")
    return points


def tracks_of(points: Sequence[Tensor]) -> Tracks:
    """Tracks [T, 2] in one; those that end earlier go unseen."""
    if not points:
        raise InvalidInput("there are no tracks: draw one at least")
    several = [
        Tracks(path=track[:, None], seen=torch.ones(len(track), 1, dtype=torch.bool))
        for track in points
    ]
    whole = several[0]
    for track in several[1:]:
        whole = joined(whole, track)
    return whole


def _constant(time: Tensor) -> Tensor:
    """Nothing moves."""
    return torch.zeros_like(time)


# How far a point is after a share of the time, both 0..1.
COURSES: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "linear": lambda time: time,
    "ease_in": lambda time: time**2,
    "ease_out": lambda time: 1 - (1 - time) ** 2,
    "ease_in_out": lambda time: time**2 * (3 - 2 * time),
    "constant": _constant,
}


def parallel_tracks(
    corners: Sequence[tuple[float, float]],
    length: int,
    count: int,
    spread: float,
    course: str,
) -> Tracks:
    """`count` tracks side by side along a Bezier curve with these control points, in pixels.

    They lie at right angles to the way from the first point to the last, the outer ones `spread`
    pixels from the middle.
    """
    share = torch.linspace(0, 1, length) if length > 1 else torch.zeros(1)
    where = COURSES[course](share)[:, None]
    degree = len(corners) - 1
    middle = torch.zeros(length, 2)
    for index, corner in enumerate(corners):  # Bernstein polynomials
        weight = math.comb(degree, index) * where**index * (1 - where) ** (degree - index)
        middle = middle + weight * torch.tensor(corner)
    (x0, y0), (x1, y1) = corners[0], corners[-1]
    distance = math.hypot(x1 - x0, y1 - y0)
    across = ((y0 - y1) / distance, (x1 - x0) / distance) if distance else (0.0, 1.0)
    beside = torch.linspace(-spread, spread, count) if count > 1 else torch.zeros(1)
    path = middle[:, None] + beside[None, :, None] * torch.tensor(across)
    return Tracks(path=path, seen=torch.ones(length, count, dtype=torch.bool))
