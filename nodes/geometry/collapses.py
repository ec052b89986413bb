"""Which edges of a surface may collapse at once, and which would spoil it.

Collapses of one round are independent: none moves a vertex of a face that another one changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals, dots, ragged
from nodes.geometry.topology import Edges

_PASSES: Final = 4  # how often what is still independent is looked for in a round
_TURN: Final = 0.2  # the least cosine of the angle by which a face may turn


class Care(IntEnum):
    """What collapses must leave as it is."""

    SHAPE = 2  # faces do not turn over, borders stay borders, and what holds below
    TOPOLOGY = 1  # the surface stays in one piece, without holes or edges of many faces
    NOTHING = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ring:
    """The faces around each vertex."""

    starts: Indices  # [N + 1] where those of each vertex begin
    faces: Indices  # [3 M] their numbers

    @classmethod
    def of(cls, faces: Indices, vertices: int) -> Ring:
        """The rings of a surface."""
        from scipy.sparse import csr_array  # takes long to import

        numbers = faces.ravel()
        # Columns become rows in linear time, where sorting would take longer.
        rows = np.arange(0, faces.size + 1, 3)
        ring = csr_array(
            (np.ones(faces.size, np.bool_), numbers, rows), shape=(len(faces), vertices)
        ).tocsc()
        return cls(starts=ring.indptr.astype(np.int64), faces=ring.indices.astype(np.int64))

    def least(self, values: Indices, otherwise: int) -> Indices:
        """For each vertex the least value of the faces around it."""
        found = np.full(len(self.starts) - 1, otherwise)
        some = self.starts[1:] > self.starts[:-1]
        found[some] = np.minimum.reduceat(values[self.faces], self.starts[:-1][some])
        return found

    def around(self, vertices: Indices) -> tuple[Indices, Indices]:
        """The faces around some vertices: for which of these, and which."""
        starts = self.starts[vertices]
        owners, places = ragged(starts, self.starts[vertices + 1] - starts)
        return owners, self.faces[places]


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """A surface as it is, and what its edges would become."""

    vertices: Reals  # [N, 3]
    faces: Indices  # [M, 3]
    edges: Edges
    targets: Reals  # [E, 3] where an edge goes
    care: Care

    def choose(self, order: Indices) -> Indices:
        """Independent edges among those of `order` [K], which has the best first."""
        count = len(self.vertices)
        ring = Ring.of(self.faces, count)
        irregular = np.zeros(count, np.bool_)
        irregular[self.edges.ends[self.edges.counts != 2]] = True
        free = np.ones(count, np.bool_)
        chosen: list[Indices] = []
        ranks = np.arange(len(order))
        for _ in range(_PASSES):
            one, other = self.edges.ends[order[ranks]].T
            ranks = ranks[free[one] & free[other]]
            if not len(ranks):
                break
            best = self._best(order, ranks, ring)
            picked = order[ranks[best]]
            fine = self._allowed(picked, ring, irregular)
            chosen.append(picked[fine])
            _, near = ring.around(self.edges.ends[picked[fine]].ravel())
            free[self.faces[near]] = False
            ranks = ranks[~best]
        return np.concatenate(chosen) if chosen else np.empty(0, np.int64)

    def _best(self, order: Indices, ranks: Indices, ring: Ring) -> Flags:
        """Which are better than all others that touch a face of theirs."""
        none = len(order)
        at_vertex = np.full(len(self.vertices), none)
        ends = self.edges.ends[order[ranks]]
        for column in range(2):  # what is written last stays: the best
            at_vertex[ends[::-1, column]] = np.minimum(at_vertex[ends[::-1, column]], ranks[::-1])
        a, b, c = (at_vertex[self.faces[:, i]] for i in range(3))
        near = ring.least(np.minimum(np.minimum(a, b), c), none)
        best: Flags = (near[ends[:, 0]] == ranks) & (near[ends[:, 1]] == ranks)
        return best

    def _allowed(self, picked: Indices, ring: Ring, irregular: Flags) -> Flags:
        """Which collapses leave what is to be left."""
        if self.care == Care.NOTHING:
            return np.ones(len(picked), np.bool_)
        ends = self.edges.ends[picked]
        owners, faces = ring.around(ends.ravel())
        star = _Star(edges=owners // 2, sides=owners % 2, corners=self.faces[faces], ends=ends)
        allowed = star.keeps_topology(len(self.vertices))
        if self.care == Care.SHAPE:
            pinched = (
                irregular[ends[:, 0]] & irregular[ends[:, 1]] & (self.edges.counts[picked] == 2)
            )
            allowed &= ~pinched & star.keeps_sides(self.vertices, self.targets[picked])
        return allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class _Star:
    """The faces around edges: those with one end, and twice those with both."""

    edges: Indices  # [K] to which edge a face belongs
    sides: Indices  # [K] to which of its ends
    corners: Indices  # [K, 3]
    ends: Indices  # [P, 2] of the edges

    def keeps_topology(self, vertices: int) -> Flags:
        """The link condition (T. Dey et al., "Topology preserving edge contraction", 1999).

        What both ends are joined to is joined to the edge itself.
        """
        of_edge = self.ends[self.edges]
        others = (self.corners != of_edge[:, :1]) & (self.corners != of_edge[:, 1:])  # k 3
        keys = self.edges[:, None] * vertices + self.corners
        beside = others[:, 0] ^ others[:, 1] ^ others[:, 2]  # has both ends
        one = np.unique(keys[others & (self.sides == 0)[:, None]])
        two = np.unique(keys[others & (self.sides == 1)[:, None]])
        common = np.intersect1d(one, two, assume_unique=True)
        opposite = np.unique(keys[others & beside[:, None]])
        count = len(self.ends)
        fine = np.bincount(common // vertices, minlength=count) == np.bincount(
            opposite // vertices, minlength=count
        )
        # A face on either side between vertices that are joined to the edge: a tetrahedron.
        joined = np.isin(keys, opposite) | ~others
        closing = ~beside & joined[:, 0] & joined[:, 1] & joined[:, 2]
        closed = [
            np.bincount(self.edges[closing & (self.sides == side)], minlength=count) > 0
            for side in range(2)
        ]
        kept: Flags = fine & ~(closed[0] & closed[1])
        return kept

    def keeps_sides(self, vertices: Reals, targets: Reals) -> Flags:
        """Whether no face turns over, or loses its area."""
        of_edge = self.ends[self.edges]
        moves = (self.corners == of_edge[:, :1]) | (self.corners == of_edge[:, 1:])  # k 3
        stays = moves[:, 0] ^ moves[:, 1] ^ moves[:, 2]
        edges, corners, moves = self.edges[stays], self.corners[stays], moves[stays]
        old = vertices[corners]
        new = np.where(moves[..., None], targets[edges][:, None], old)
        before, after = (np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) for t in (old, new))
        length, new_length = (np.sqrt(dots(n, n)) for n in (before, after))
        turned = dots(before, after) < _TURN * length * new_length
        sides = [new[:, i] - new[:, i - 1] for i in range(3)]
        longest = np.maximum.reduce([dots(side, side) for side in sides])
        flat = (new_length < 1e-3 * longest) & (new_length < length)
        kept: Flags = np.bincount(edges[turned | flat], minlength=len(self.ends)) == 0
        return kept
