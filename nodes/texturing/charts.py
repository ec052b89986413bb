"""Surfaces in charts: which faces hang together in an atlas, and where a surface is cut for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from nodes.geometry.arrays import Indices, Reals, dots
from nodes.geometry.normals import unit
from nodes.geometry.topology import face_pairs, groups, numbered_edges

WIDEST_CONE: Final = np.radians(
    44
)  # half of it: what is smooth leans no more from its chart's axis
STEEPEST: Final = np.radians(75)  # and no single face does
_SMOOTHINGS: Final = 4  # of normals, so that a rough surface does not come apart
_CREASE: Final = np.cos(np.radians(60))  # of an angle over which normals are not smoothed
_FLAT: Final = 1e-7  # area of faces that look nowhere, beside the square of their longest side
_ROUNDNESS: Final = 0.1  # what a chart's outline counts, beside how much it bends


def connected_charts(faces: Indices, count: int) -> Indices:
    """A number for each face [M]: faces that share vertices, of which there are `count`, have one.

    In an atlas vertices on seams are doubled, so that these are its charts.
    """
    _, labels = groups(faces[:, :2].ravel(), faces[:, 1:].ravel(), count)
    _, charts = np.unique(labels[faces[:, 0]], return_inverse=True)
    numbers: Indices = charts.reshape(-1)
    return numbers


@dataclass(frozen=True, kw_only=True)
class _Charts:
    """Charts while they are merged, and the borders between them."""

    axes: Reals  # [K, 3] of the cones that hold the normals of the faces
    cones: Reals  # [K] half angles
    areas: Reals  # [K]
    outlines: Reals  # [K] lengths
    pairs: Indices  # [E, 2] charts that touch, the lower number first
    borders: Reals  # [E] lengths


def segment(
    vertices: Reals, faces: Indices, check: Callable[[], None], widest: float = WIDEST_CONE
) -> tuple[Indices, Reals]:
    """A chart number [M] for each face, and the axis [K, 3] of each chart.

    Charts bend little, and are about round. Faces are merged as in M. Garland et al.,
    "Hierarchical face clustering on polygonal surfaces", 2001, but all pairs at once of which each
    is the other's best neighbour (parallel edge collapse on the dual graph). The normals of a
    chart, smoothed between creases, stay in a cone of the half angle `widest` around its axis, so
    that it can be laid flat with little distortion; faces that lean more than STEEPEST have charts
    of their own. `check` is called again and again.
    """
    singles = _single_faces(vertices, faces)
    numbers, axes = _clustered(replace(singles, axes=_smoothed(singles)), check, widest)
    upright = (singles.axes * axes[numbers]).sum(axis=1)
    steep = np.flatnonzero((upright < np.cos(STEEPEST)) & (singles.cones == 0))
    if len(steep):
        apart, more = _clustered(_single_faces(vertices, faces[steep]), check, widest)
        numbers[steep] = len(axes) + apart
        axes = np.concatenate([axes, more])
    kept, numbers = np.unique(numbers, return_inverse=True)
    return numbers, axes[kept]


def _smoothed(charts: _Charts) -> Reals:
    """The axes of single faces, mixed with those of their neighbours."""
    first, second = charts.pairs.T
    axes = charts.axes
    for _ in range(_SMOOTHINGS):
        near = dots(axes[first], axes[second]) > _CREASE
        ends = np.concatenate([first[near], second[near]])
        others = np.concatenate([second[near], first[near]])
        weighted = axes * charts.areas[:, None]
        around = [np.bincount(ends, weighted[others, i], len(axes)) for i in range(3)]
        total: Reals = weighted + np.stack(around, axis=1)
        axes = np.where((charts.areas > 0)[:, None], unit(total), axes)
    return axes


def _clustered(charts: _Charts, check: Callable[[], None], widest: float) -> tuple[Indices, Reals]:
    """The chart of each face after all merging, and the axes of charts."""
    numbers: Indices = np.arange(len(charts.areas))
    while True:
        check()
        into = _merges(charts, widest)
        if into is None:
            return numbers, charts.axes
        charts, renumbered = _merged(charts, into)
        numbers = renumbered[numbers]


def _single_faces(vertices: Reals, faces: Indices) -> _Charts:
    points = vertices[faces]
    crossed = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    lengths = np.linalg.norm(points - np.roll(points, -1, axis=1), axis=2)
    one, other = face_pairs(numbered_edges(faces))  # corners, three for each face
    pairs, borders = _joined(np.stack([one, other], axis=1) // 3, lengths.ravel()[one], len(faces))
    empty = np.linalg.norm(crossed, axis=1) <= _FLAT * lengths.max(axis=1) ** 2
    return _Charts(
        axes=unit(crossed),
        # What looks nowhere goes with any chart: less than no angle is in every cone.
        cones=np.where(empty, -np.pi, 0),
        areas=np.linalg.norm(crossed, axis=1) / 2,
        outlines=lengths.sum(axis=1),
        pairs=pairs,
        borders=borders,
    )


def _joined(pairs: Indices, borders: Reals, count: int) -> tuple[Indices, Reals]:
    """Each pair of different charts once, with the sum of their borders."""
    apart = pairs[:, 0] != pairs[:, 1]
    pairs, borders = np.sort(pairs[apart], axis=1), borders[apart]
    keys, place = np.unique(pairs[:, 0] * count + pairs[:, 1], return_inverse=True)
    summed = np.bincount(place.reshape(-1), borders, len(keys))
    return np.stack([keys // count, keys % count], axis=1), np.asarray(summed, float)


def _merges(charts: _Charts, widest: float) -> Indices | None:
    """Which of the pairs to merge [C]: both charts' best; None if no pair may be."""
    first, second = charts.pairs.T
    _, cones = _cone_around(charts, first, second)
    outline = charts.outlines[first] + charts.outlines[second] - 2 * charts.borders
    area = np.maximum(charts.areas[first] + charts.areas[second], 1e-30)
    cost = cones / widest + _ROUNDNESS * outline / np.sqrt(4 * np.pi * area)
    allowed = np.flatnonzero(cones <= widest)
    if not len(allowed):
        return None
    ranks = allowed[np.argsort(cost[allowed], kind="stable")]
    best = np.full(len(charts.areas), len(ranks))
    np.minimum.at(best, first[ranks], np.arange(len(ranks)))
    np.minimum.at(best, second[ranks], np.arange(len(ranks)))
    mutual = best[first[ranks]] == best[second[ranks]]
    mutual &= best[first[ranks]] == np.arange(len(ranks))
    chosen: Indices = ranks[mutual]
    return chosen


def _cone_around(charts: _Charts, first: Indices, second: Indices) -> tuple[Reals, Reals]:
    """The axes and half angles of the smallest cones around two of them each."""
    a, b = charts.axes[first], charts.axes[second]
    between = np.arccos(np.clip((a * b).sum(axis=1), -1, 1))
    one, other = charts.cones[first], charts.cones[second]
    half = np.maximum((one + between + other) / 2, np.maximum(one, other))
    turned = np.clip(half - one, 0, between)  # from the axis of the first towards that of the other
    sine = np.sin(between)
    flat = sine < 1e-9
    divisor = np.where(flat, 1, sine)
    axis = (np.sin(between - turned) / divisor)[:, None] * a + (np.sin(turned) / divisor)[
        :, None
    ] * b
    return np.where(flat[:, None], a, unit(axis)), half


def _merged(charts: _Charts, chosen: Indices) -> tuple[_Charts, Indices]:
    """The charts after these pairs are merged, and the new number of each old one."""
    first, second = charts.pairs[chosen].T
    axes, cones = charts.axes.copy(), charts.cones.copy()
    axes[first], cones[first] = _cone_around(charts, first, second)
    areas, outlines = charts.areas.copy(), charts.outlines.copy()
    areas[first] += areas[second]
    outlines[first] += outlines[second] - 2 * charts.borders[chosen]
    kept = np.ones(len(areas), bool)
    kept[second] = False
    numbers = np.cumsum(kept) - 1
    numbers[second] = numbers[first]
    pairs, borders = _joined(numbers[charts.pairs], charts.borders, int(kept.sum()))
    merged = _Charts(
        axes=axes[kept],
        cones=cones[kept],
        areas=areas[kept],
        outlines=outlines[kept],
        pairs=pairs,
        borders=borders,
    )
    return merged, numbers
