"""What belongs together in a surface: places, edges, parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nodes.geometry.arrays import Indices, Reals


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """All edges of a surface, each once."""

    ends: Indices  # [E, 2] vertices, the lower number first
    counts: Indices  # [E] how many faces have it


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberedEdges(Edges):
    """All edges of a surface, and which of them a face has."""

    of_faces: Indices  # [M, 3] the edge from corner i to corner i + 1


def same_places(values: Reals) -> Indices:
    """A number for each row [N, C]; equal rows have the same. Numbers go from 0 without gaps."""
    order = np.lexsort(values.T)
    ordered = values[order]
    numbers = np.empty(len(values), np.int64)
    numbers[order] = np.cumsum(np.r_[False, (ordered[1:] != ordered[:-1]).any(axis=1)])[
        : len(values)
    ]
    return numbers


def whole_faces(faces: Indices) -> Indices:
    """The faces [M, 3] that have three different vertices."""
    a, b, c = faces.T
    whole: Indices = faces[(a != b) & (b != c) & (c != a)]
    return whole


def different_faces(faces: Indices) -> Indices:
    """One of all faces that have the same three vertices."""
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    different: Indices = faces[np.sort(first)]
    return different


def edges_of(faces: Indices) -> Edges:
    """The edges of faces [M, 3]."""
    keys, width = _edge_keys(faces)
    keys.sort()
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    counts = np.diff(np.r_[first, len(keys)])
    return Edges(ends=_ends(keys[first], width), counts=counts)


def numbered_edges(faces: Indices) -> NumberedEdges:
    """The edges of faces [M, 3], numbered."""
    keys, width = _edge_keys(faces)
    keys, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
    of_faces = numbers.reshape(3, -1).T
    return NumberedEdges(ends=_ends(keys, width), counts=counts, of_faces=of_faces)


def _edge_keys(faces: Indices) -> tuple[Indices, int]:
    """A number for the edge after each first corner, then each second, third, by its ends."""
    width = int(faces.max(initial=0)) + 1
    corners = [np.ascontiguousarray(faces[:, i]) for i in range(3)]
    pairs = [(corners[i], corners[(i + 1) % 3]) for i in range(3)]
    return np.concatenate([np.minimum(p, q) * width + np.maximum(p, q) for p, q in pairs]), width


def _ends(keys: Indices, width: int) -> Indices:
    low = keys // width
    return np.stack([low, keys - low * width], axis=1)


def face_pairs(edges: NumberedEdges) -> tuple[Indices, Indices]:
    """Corners [P, 2], counted through all faces, whose edges meet, two by two.

    Of an edge with more than two faces each has the next one.
    """
    numbers = edges.of_faces.ravel()
    order = np.argsort(numbers, kind="stable")
    meet = numbers[order][1:] == numbers[order][:-1]
    return order[:-1][meet], order[1:][meet]


def groups(first: Indices, second: Indices, count: int) -> tuple[int, Indices]:
    """How many groups `count` things fall into that are linked two by two, and that of each."""
    from scipy.sparse import coo_array  # takes long to import
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), np.bool_), (first, second)), shape=(count, count))
    found, numbers = connected_components(links, directed=False)
    return int(found), numbers.astype(np.int64)


def components(faces: Indices, vertices: int) -> tuple[int, Indices]:
    """How many parts a surface has, and that of each face: what shares a vertex is one part."""
    _, of_vertices = groups(faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel(), vertices)
    used, of_faces = np.unique(of_vertices[faces[:, 0]], return_inverse=True)
    return len(used), of_faces.astype(np.int64)


def compacted(faces: Indices, vertices: int) -> tuple[Indices, Indices]:
    """Faces that name only the vertices in use, and which these are."""
    used = np.zeros(vertices, np.bool_)
    used[faces] = True
    numbers = np.cumsum(used) - 1
    return numbers[faces], np.flatnonzero(used)
