"""How a surface goes through the cells of a grid: in one piece, or in several.

A cell has 8 corners, numbered by their bits x, y, z (4, 2, 1), and 12 edges. Where a surface
crosses edges, its pieces are told apart by the sides of the cell, on which crossings are joined two
by two.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Final

import numpy as np

from nodes.geometry.arrays import Flags, Indices

CORNERS: Final = np.array(list(product((0, 1), repeat=3)))

# An edge by its axis and the two other bits of its first corner: 4 * axis + 2 * first + second,
# where first and second are the axes that follow in turn.
_EDGES: Final = [
    (axis, first, second) for axis in range(3) for first in (0, 1) for second in (0, 1)
]


def _ends(edge: tuple[int, int, int]) -> tuple[int, int]:
    """The corners at the ends of an edge."""
    axis, first, second = edge
    place = [0, 0, 0]
    place[(axis + 1) % 3], place[(axis + 2) % 3] = first, second
    low = place[0] * 4 + place[1] * 2 + place[2]
    return low, low + (4, 2, 1)[axis]


_ENDS: Final = [_ends(edge) for edge in _EDGES]
# The sides by axis and place, each with its corners; and the edges of each side.
_SIDES: Final = [
    [corner for corner in range(8) if CORNERS[corner][axis] == place]
    for axis in range(3)
    for place in (0, 1)
]
_SIDE_EDGES: Final = [
    [e for e, (a, b) in enumerate(_ENDS) if a in side and b in side] for side in _SIDES
]


@cache
def patches() -> tuple[Indices, Indices]:
    """The piece of each edge [256, 64, 12], and how many a cell has [256, 64].

    By the corners that are inside (bit i: corner i), and the sides on which crossings are joined
    the other way (bit i: side i): two opposite corners inside are then joined, not kept apart. An
    edge that is not crossed is of piece 0.
    """
    pieces = np.zeros((256, 64, 12), np.int64)
    counts = np.ones((256, 64), np.int64)
    for inside in range(256):
        crossed = [e for e, (a, b) in enumerate(_ENDS) if (inside >> a & 1) != (inside >> b & 1)]
        unclear = [i for i in range(6) if sum(e in crossed for e in _SIDE_EDGES[i]) == 4]
        for flips in range(64):
            relevant = sum(1 << i for i in unclear if flips >> i & 1)
            if flips != relevant:
                pieces[inside, flips] = pieces[inside, relevant]
                counts[inside, flips] = counts[inside, relevant]
                continue
            joined = [pair for i in range(6) for pair in _joined(inside, i, bool(flips >> i & 1))]
            numbers = {e: e for e in crossed}
            for one, other in joined * 4:  # pieces have at most 12 edges in a ring
                least = min(numbers[one], numbers[other])
                numbers[one] = numbers[other] = least
            names = sorted(set(numbers.values()))
            counts[inside, flips] = max(len(names), 1)
            for e, number in numbers.items():
                pieces[inside, flips, e] = names.index(number)
    return pieces, counts


def _joined(inside: int, side: int, flipped: bool) -> list[tuple[int, int]]:
    """The crossed edges of a side, two by two: those around a corner that is inside."""
    corners, edges = _SIDES[side], _SIDE_EDGES[side]
    crossed = [e for e in edges if (inside >> _ENDS[e][0] & 1) != (inside >> _ENDS[e][1] & 1)]
    if len(crossed) < 4:
        return [(crossed[0], crossed[1])] if crossed else []
    around = [c for c in corners if bool(inside >> c & 1) != flipped]
    pairs = [[e for e in crossed if corner in _ENDS[e]] for corner in around]
    return [(pair[0], pair[1]) for pair in pairs]


@cache
def both_pieces() -> Flags:
    """Whether a side has two joints of the same piece [256, 64, 6]."""
    pieces, _ = patches()
    same = np.zeros((256, 64, 6), np.bool_)
    for inside in range(256):
        for side in range(6):
            one_way = _joined(inside, side, False)
            if len(one_way) < 2:
                continue
            for flips in range(64):
                joints = _joined(inside, side, bool(flips >> side & 1))
                first, second = (pieces[inside, flips, joint[0]] for joint in joints)
                same[inside, flips, side] = first == second
    return same
