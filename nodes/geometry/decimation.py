"""Surfaces with fewer triangles, by edges that collapse into points.

In rounds: edges are put in order of their quadric error, and of the best ones all that are
independent collapse at once, which arrays do fast and which comes close to one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals, Step, dots
from nodes.geometry.collapses import Care, Round
from nodes.geometry.quadrics import (
    Weights,
    errors,
    least_anywhere,
    least_on_segments,
    on_segments,
    vertex_quadrics,
)
from nodes.geometry.threads import in_parts
from nodes.geometry.topology import (
    compacted,
    different_faces,
    edges_of,
    numbered_edges,
    same_places,
    whole_faces,
)

_LENGTH_WEIGHT: Final = 1e-8  # of the length of edges: in the plane short ones go first
_PARTS: Final = 16  # into which the edges of a round fall by their cost
_LEAST_SHARE: Final = 0.05  # of all edges, which are looked at in a round
_FRUITFUL: Final = 0.005  # of those that are looked at: fewer collapses are too few


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where an edge goes."""

    at_middle: bool = False  # else where the error is least
    on_edge: bool = True  # not beside it
    weights: Weights = field(default_factory=Weights)


@dataclass(kw_only=True, slots=True)
class _State:
    vertices: Reals  # [N, 3], the longest side of their box 1
    values: Reals  # [N, C] what else is known of them
    faces: Indices  # [M, 3]
    quadrics: Reals  # [10, N]
    locked: Flags  # [N] vertices that stay where they are
    placement: Placement


def decimate(
    vertices: Reals,
    faces: Indices,
    target: int,
    placement: Placement,
    step: Step,
    values: Reals | None = None,
    seams: Reals | None = None,
) -> tuple[Reals, Indices, Reals]:
    """At most `target` faces of a surface: its vertices [N, 3], faces [M, 3] and values [N, C].

    Vertices at one place become one, unless their `seams` [N, D] differ: then they stay where they
    are for as long as others can go. `values` are mixed along the edges. Where the number of faces
    cannot be had without, faces turn over, then holes close and parts vanish.
    """
    held = np.zeros((len(vertices), 0)) if values is None else values
    if not len(faces):
        return vertices, faces, held
    faces, used = compacted(faces, len(vertices))
    vertices, seams = vertices[used], None if seams is None else seams[used]
    state = _start(vertices, faces, held[used], seams, placement)
    scale = float(np.ptp(vertices, axis=0).max()) or 1.0
    low = vertices.min(axis=0)
    state.vertices = (state.vertices - low) / scale
    edges = numbered_edges(state.faces)
    state.quadrics = vertex_quadrics(state.vertices, state.faces, edges, placement.weights)
    _collapse_down_to(state, target, step)
    corners, used = compacted(state.faces, len(state.vertices))
    return state.vertices[used] * scale + low, corners, state.values[used]


def _start(
    vertices: Reals, faces: Indices, values: Reals, seams: Reals | None, placement: Placement
) -> _State:
    """The surface with one vertex at a place, without faces that have no area at all."""
    places = same_places(vertices)
    numbers = places if seams is None else same_places(np.c_[vertices, seams])
    count = int(numbers.max(initial=-1)) + 1
    first = np.zeros(count, np.int64)
    first[numbers[::-1]] = np.arange(len(vertices))[::-1]
    shared = np.bincount(places[first], minlength=1) > 1
    return _State(
        vertices=vertices[first],
        values=values[first],
        faces=whole_faces(numbers[faces]),
        quadrics=np.zeros((10, count)),
        locked=shared[places[first]],
        placement=placement,
    )


def _collapse_down_to(state: _State, target: int, step: Step) -> None:
    """Round after round, until there are few enough faces."""
    start, care, share = len(state.faces), Care.SHAPE, _LEAST_SHARE
    while len(state.faces) > target:
        if care == Care.NOTHING:
            state.faces = different_faces(state.faces)
        excess = max(len(state.faces) - target, 0)
        step(1 - excess / max(start - target, 1))
        edges = edges_of(state.faces)
        costs, targets = _costs(state, edges.ends, edges.counts != 2)
        if care == Care.SHAPE:
            costs[state.locked[edges.ends[:, 0]] & state.locked[edges.ends[:, 1]]] = np.inf
        # Those that are to go, or a part of all where that is more.
        looked_at = min(max(excess // 2, int(share * len(costs))), len(costs) - 1)
        order = np.argpartition(costs, looked_at)[: looked_at + 1]
        order = order[np.isfinite(costs[order])]
        order = _shuffled(order[np.argsort(costs[order])])
        current = Round(
            vertices=state.vertices, faces=state.faces, edges=edges, targets=targets, care=care
        )
        chosen = current.choose(order)
        if len(chosen) <= _FRUITFUL * len(order):
            care, share = (care, share * 4) if share < 1 else (Care(max(care - 1, 0)), _LEAST_SHARE)
        chosen = chosen[np.argsort(costs[chosen], kind="stable")]
        removed = np.cumsum(edges.counts[chosen])
        chosen = chosen[: np.searchsorted(removed, excess) + 1] if excess else chosen[:0]
        _apply(state, edges.ends[chosen], targets[chosen])


def _shuffled(order: Indices) -> Indices:
    """Edges in an order that is by chance among those of about the same cost.

    Where costs change evenly over a surface, only few edges would be better than all near them.
    """
    chance = np.random.default_rng(0).random(len(order))
    part = np.arange(len(order)) * _PARTS // max(len(order), 1)
    return order[np.lexsort((chance, part))]


def _costs(state: _State, ends: Indices, irregular: Flags) -> tuple[Reals, Reals]:
    """What the collapse of each edge costs [E], and where it goes [E, 3]."""
    pinned = state.locked.copy()
    pinned[ends[irregular]] = True
    costs, targets = in_parts(lambda part: _cost(state, part, pinned[part]), ends)
    return costs, targets


def _cost(state: _State, ends: Indices, pinned: Flags) -> tuple[Reals, Reals]:
    """As `_costs`. An edge with one vertex on a border, or at a seam, goes there."""
    quadrics = state.quadrics[:, ends[:, 0]] + state.quadrics[:, ends[:, 1]]
    starts, stops = state.vertices[ends[:, 0]], state.vertices[ends[:, 1]]
    lengths = dots(stops - starts, stops - starts)
    weights = quadrics[0] + quadrics[3] + quadrics[5]
    constant, linear, square = on_segments(quadrics, starts, stops)
    placement = state.placement
    share = (
        np.full(len(ends), 0.5)
        if placement.at_middle
        else least_on_segments(linear, square, weights * lengths)
    )
    single = pinned[:, 0] != pinned[:, 1]
    share = np.where(single, pinned[:, 1], share)
    targets = starts + share[:, None] * (stops - starts)
    error = constant + share * (linear + share * square)
    if not (placement.at_middle or placement.on_edge):
        free = least_anywhere(quadrics, starts, stops, targets)
        targets = np.where(single[:, None], targets, free)
        error = errors(quadrics, targets)
    return np.maximum(error, 0) + _LENGTH_WEIGHT * weights * lengths, targets


def _apply(state: _State, ends: Indices, targets: Reals) -> None:
    """Put both ends [P, 2] of each edge to its target, and drop the faces between them."""
    kept, gone = ends.T
    along = state.vertices[gone] - state.vertices[kept]
    shares = dots(targets - state.vertices[kept], along)
    shares = np.clip(shares / np.maximum(dots(along, along), 1e-30), 0, 1)[:, None]
    state.values[kept] += shares * (state.values[gone] - state.values[kept])
    state.vertices[kept] = targets
    state.quadrics[:, kept] += state.quadrics[:, gone]
    state.locked[kept] |= state.locked[gone]
    numbers = np.arange(len(state.vertices))
    numbers[gone] = kept
    state.faces = whole_faces(numbers[state.faces])
