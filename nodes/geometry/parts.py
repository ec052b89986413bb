"""Parts of surfaces left out: small ones, those that look inwards, those inside of others."""

from __future__ import annotations

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals
from nodes.geometry.topology import components


def without_small(vertices: Reals, faces: Indices, share: float) -> Indices:
    """The faces of parts that have at least this share of the faces of the largest."""
    count, numbers = components(faces, len(vertices))
    sizes = np.bincount(numbers, minlength=count)
    kept: Indices = faces[(sizes >= share * sizes.max(initial=0))[numbers]]
    return kept


def without_inverted(vertices: Reals, faces: Indices) -> Indices:
    """The faces of parts that look outwards: what they hold has a positive volume."""
    count, numbers = components(faces, len(vertices))
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volumes = np.bincount(numbers, (a * np.cross(b, c)).sum(axis=1), minlength=count)
    kept: Indices = faces[(volumes > 0)[numbers]]
    return kept


def without_enclosed(vertices: Reals, faces: Indices) -> Indices:
    """The faces of parts that lie in no other part."""
    count, numbers = components(faces, len(vertices))
    order = np.argsort(numbers, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(numbers, minlength=count))[:-1])
    low = np.stack([vertices[faces[m]].min(axis=(0, 1)) for m in members])
    high = np.stack([vertices[faces[m]].max(axis=(0, 1)) for m in members])
    enclosed = np.zeros(count, np.bool_)
    for part in range(count):
        around = np.flatnonzero((low < low[part]).all(axis=1) & (high > high[part]).all(axis=1))
        point = vertices[faces[members[part][0]]].mean(axis=0)
        enclosed[part] = any(_holds(vertices, faces[members[i]], point) for i in around)
    kept: Indices = faces[~enclosed[numbers]]
    return kept


def _holds(vertices: Reals, faces: Indices, point: Reals) -> bool:
    """Whether a closed surface has a point inside: a ray along x goes through it an odd number of
    times."""
    a, b, c = (vertices[faces[:, i]] - point for i in range(3))
    sides = [_turn(p, q) for p, q in ((a, b), (b, c), (c, a))]
    left: Flags = np.logical_and.reduce([side >= 0 for side in sides])
    right: Flags = np.logical_and.reduce([side < 0 for side in sides])
    hit = left | right
    total = sides[0][hit] + sides[1][hit] + sides[2][hit]
    weighted = sides[1][hit] * a[hit, 0] + sides[2][hit] * b[hit, 0] + sides[0][hit] * c[hit, 0]
    return bool((weighted * np.sign(total) > 0).sum() % 2)


def _turn(one: Reals, other: Reals) -> Reals:
    """Twice the area between two vectors, seen along x."""
    turn: Reals = one[:, 1] * other[:, 2] - one[:, 2] * other[:, 1]
    return turn
