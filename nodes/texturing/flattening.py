"""Charts laid flat: each seen along an axis, and cut again where it covers itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals, dots, ragged
from nodes.texturing.charts import connected_charts
from nodes.texturing.frames import across
from nodes.texturing.texels import covered

_ROUNDS: Final = 24  # of cutting: each halves a chart
_SIDE: Final = 2048  # texels of the picture in which charts are looked at, all together
_SEEN: Final = 0.9  # of its cell there, that a chart takes
_TURN: Final = 0.5  # radians, so that edges along the axes do not go through centres of texels
_TWICE: Final = 0.01  # of a chart that may be covered twice


@dataclass(frozen=True, kw_only=True)
class FlatCharts:
    """A surface in charts, which have no vertex in common and do not touch."""

    vertices: Indices  # [V] numbers of the surface's vertices
    faces: Indices  # [M, 3] which name the new ones
    uvs: Reals  # [V, 2] in units of the surface, v downwards


def flatten(
    vertices: Reals, faces: Indices, charts: Indices, axes: Reals, check: Callable[[], None]
) -> FlatCharts:
    """Charts [M] of faces, each seen along its axis [K, 3]; no face may look away from it.

    A chart that covers itself is cut in two at its middle along the axis, until none does.
    """
    numbers = np.empty(len(faces), np.int64)
    rest, all_axes = np.arange(len(faces)), [axes[:0]]
    for round_number in range(_ROUNDS + 1):
        check()
        flat = _projected(vertices, faces[rest], charts, axes)
        twice = _covers_itself(flat, charts, len(axes)) & (round_number < _ROUNDS)
        fine = ~twice[charts]
        numbers[rest[fine]] = charts[fine] + sum(map(len, all_axes))
        all_axes.append(axes)
        if fine.all():
            break
        rest = rest[~fine]
        charts, axes = _cut(vertices, faces[rest], charts[~fine], axes)
    kept, numbers = np.unique(numbers, return_inverse=True)
    axes = np.concatenate(all_axes)[kept]
    return _apart(_projected(vertices, faces, numbers, axes), numbers, len(axes))


def _projected(vertices: Reals, faces: Indices, charts: Indices, axes: Reals) -> FlatCharts:
    keys, corners = np.unique(charts[:, None] * len(vertices) + faces, return_inverse=True)
    chart_of, names = np.divmod(keys, len(vertices))
    right = across(axes)
    down = np.cross(right, axes)  # seen from outside, as pictures are
    points = vertices[names]
    uvs = np.stack([(points * way[chart_of]).sum(axis=1) for way in (right, down)], axis=1)
    return FlatCharts(vertices=names, faces=corners.reshape(-1, 3), uvs=uvs)


def _chart_of_vertices(flat: FlatCharts, charts: Indices) -> Indices:
    of_vertices = np.zeros(len(flat.vertices), np.int64)
    of_vertices[flat.faces] = charts[:, None]
    return of_vertices


def _bounds(places: Reals, of_vertices: Indices, count: int) -> tuple[Reals, Reals]:
    """The lowest and highest places [K, 2] of each chart."""
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, of_vertices, places)
    np.maximum.at(high, of_vertices, places)
    return low, high


def _covers_itself(flat: FlatCharts, charts: Indices, count: int) -> Flags:
    """Which charts have faces over each other: each is drawn into a cell of its own."""
    turn = np.array([[np.cos(_TURN), -np.sin(_TURN)], [np.sin(_TURN), np.cos(_TURN)]])
    places = flat.uvs @ turn
    of_vertices = _chart_of_vertices(flat, charts)
    low, high = _bounds(places, of_vertices, count)
    grid = int(np.ceil(np.sqrt(count)))
    side = max(_SIDE, grid * 8)
    scale = _SEEN / grid / np.maximum((high - low).max(axis=1), 1e-30)
    cells = np.stack(np.divmod(np.arange(count), grid), axis=1) / grid
    places = (places - low[of_vertices]) * scale[of_vertices, None] + cells[of_vertices]
    times = np.zeros(side * side, np.uint8)
    owners = np.zeros(side * side, np.int32)
    for drawn, texels in covered(places, flat.faces, side):
        np.add.at(times, texels, 1)
        owners[texels] = charts[drawn]
    seen = np.bincount(owners[times > 0], minlength=count)
    double = np.bincount(owners[times > 1], minlength=count)
    covers: Flags = double > np.maximum(_TWICE * seen, 1)
    return covers


def _cut(vertices: Reals, faces: Indices, charts: Indices, axes: Reals) -> tuple[Indices, Reals]:
    """Each chart cut in two by height along its axis, and into parts that are apart then."""
    heights = dots(vertices[faces].mean(axis=1), axes[charts])
    order = np.lexsort((heights, charts))  # chart by chart, from below
    _, starts, sizes = np.unique(charts[order], return_index=True, return_counts=True)
    cut, place = ragged(np.zeros_like(starts), sizes)
    above = np.empty(len(faces), np.int64)
    above[order] = place >= sizes[cut] // 2
    halves = charts * 2 + above
    keys, corners = np.unique(halves[:, None] * len(vertices) + faces, return_inverse=True)
    parts = connected_charts(corners.reshape(-1, 3), len(keys))
    _, first = np.unique(parts, return_index=True)
    return parts, axes[charts[first]]


def _apart(flat: FlatCharts, charts: Indices, count: int) -> FlatCharts:
    """The charts in the cells of a grid, so that no place of one is a place of another."""
    of_vertices = _chart_of_vertices(flat, charts)
    low, high = _bounds(flat.uvs, of_vertices, count)
    cell = float((high - low).max()) * 1.1 or 1.0
    grid = int(np.ceil(np.sqrt(count)))
    corners = np.stack(np.divmod(np.arange(count), grid), axis=1) * cell
    uvs = flat.uvs - low[of_vertices] + corners[of_vertices]
    return FlatCharts(vertices=flat.vertices, faces=flat.faces, uvs=uvs)
