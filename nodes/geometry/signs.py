"""On which side of a surface points are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals, dots
from nodes.geometry.closest_points import at_weights, closest_points
from nodes.geometry.normals import face_crosses, smooth_normals, unit
from nodes.geometry.topology import numbered_edges

_ON_SURFACE: Final = 1e-6  # cells: nearer than that, sides are chance


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """A surface that knows its sides, also at edges and vertices.

    J. A. Bærentzen and H. Aanæs, "Signed distance computation using the angle weighted
    pseudonormal", 2005.
    """

    corners: Reals  # [M, 3, 3]
    faces: Indices  # [M, 3]
    of_faces: Reals  # [M, 3] normals
    of_vertices: Reals  # [N, 3]
    of_edges: Reals  # [E, 3]
    edges: Indices  # [M, 3] of each face, from corner i to corner i + 1
    border_edges: Flags  # [E]
    border_vertices: Flags  # [N]

    @classmethod
    def of(cls, vertices: Reals, faces: Indices) -> Sides:
        """The sides of a surface whose vertices are joined."""
        normals = unit(face_crosses(vertices, faces))
        edges = numbered_edges(faces)
        numbers = edges.of_faces
        border = edges.counts == 1
        at_border = np.zeros(len(vertices), np.bool_)
        at_border[edges.ends[border]] = True
        sums = [np.bincount(numbers.ravel(), np.repeat(normals[:, i], 3)) for i in range(3)]
        return cls(
            corners=vertices[faces],
            faces=faces,
            of_faces=normals,
            of_vertices=smooth_normals(vertices, faces, 180)[0],
            of_edges=np.stack(sums, axis=1),
            edges=numbers,
            border_edges=border,
            border_vertices=at_border,
        )

    def of_points(self, points: Reals, triangles: Indices) -> tuple[Flags, Flags]:
        """Which points [K, 3] are behind their nearest triangles [K], and which beside a border.

        What lies on the surface is in front of it.
        """
        squares, weights = closest_points(points, self.corners[triangles])
        away = points - at_weights(self.corners[triangles], weights)
        normals = self.of_faces[triangles]
        beyond = np.zeros(len(points), np.bool_)
        nothing = weights <= 0
        count = nothing[:, 0].astype(np.int64) + nothing[:, 1] + nothing[:, 2]
        on_edge = np.flatnonzero(count == 1)
        missing = nothing[on_edge].argmax(axis=1)  # the edge is that between the two others
        edges = self.edges[triangles[on_edge], (missing + 1) % 3]
        normals[on_edge], beyond[on_edge] = self.of_edges[edges], self.border_edges[edges]
        at_vertex = np.flatnonzero(count == 2)
        vertices = self.faces[triangles[at_vertex], weights[at_vertex].argmax(axis=1)]
        normals[at_vertex] = self.of_vertices[vertices]
        beyond[at_vertex] = self.border_vertices[vertices]
        behind = (dots(away, normals) < 0) & (squares > _ON_SURFACE**2)
        return behind, beyond
