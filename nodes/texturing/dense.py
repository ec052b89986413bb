"""A dense surface beneath the simple one that a picture is baked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.errors import InvalidInput
from nodes.geometry.arrays import Flags, Reals
from nodes.geometry.normals import unit
from nodes.shapes import Surface
from nodes.texturing.rays import Hits, RayScene
from nodes.texturing.targets import as_indices, normals_of, places_of

_TOUCHING: Final = 1e-4  # of the diagonal: how far before a point rays begin, so as to meet it
_BEHIND: Final = 8  # backs of faces that a ray passes through at most


@dataclass(frozen=True, kw_only=True)
class Nearby:
    """What of a surface is above or below points."""

    found: Flags  # [P]
    points: Reals  # [P, 3] on the surface; where nothing was found, the points themselves
    normals: Reals  # [P, 3] of the faces there; else those of the points


class DenseSurface:
    """A surface that details are taken of. Raises InvalidInput without faces or places."""

    def __init__(self, surface: Surface) -> None:
        self.vertices = places_of(surface)
        self.faces = as_indices(surface.faces)
        if not len(self.faces):
            raise InvalidInput("the mesh that details are taken of has no faces")
        self.normals = normals_of(surface)
        self.scene = RayScene(self.vertices, self.faces)
        self.diagonal = float(np.linalg.norm(np.ptp(self.vertices, axis=0)))

    def nearby(self, points: Reals, normals: Reals, within: float) -> Nearby:
        """The nearest place along normals [P, 3], either way, that looks about where they do."""
        before = _TOUCHING * self.diagonal
        best = np.full(len(points), np.inf)
        moved, looks = points, normals
        for side in (1.0, -1.0):
            ways = side * normals
            starts = points - ways * before
            hits = self.scene.first(starts, ways, np.full(len(points), within + before))
            away = np.abs(hits.distances - before)
            takes = (hits.faces >= 0) & ((hits.normals * normals).sum(axis=1) > 0) & (away < best)
            best = np.where(takes, away, best)
            reached = starts + ways * hits.distances[:, None]
            moved = np.where(takes[:, None], reached, moved)
            looks = np.where(takes[:, None], hits.normals, looks)
        return Nearby(found=np.isfinite(best), points=moved, normals=looks)

    def seen(self, origins: Reals, ways: Reals, within: float, *, fronts_only: bool) -> Hits:
        """What rays [R, 3] meet first; if wanted the first face whose front they meet."""
        left = np.full(len(origins), within)
        hits = self.scene.first(origins, ways, left)
        if not fronts_only:
            return hits
        step = _TOUCHING * self.diagonal
        faces, weights, passed = hits.faces, hits.weights, hits.distances.copy()
        normals = hits.normals
        for _ in range(_BEHIND):
            behind = (faces >= 0) & ((normals * ways).sum(axis=1) >= 0)
            if not behind.any():
                return Hits(faces=faces, distances=passed, weights=weights, normals=normals)
            chosen = np.flatnonzero(behind)
            skipped = passed[chosen] + step
            starts = origins[chosen] + ways[chosen] * skipped[:, None]
            more = self.scene.first(starts, ways[chosen], np.maximum(left[chosen] - skipped, 0))
            faces[chosen], weights[chosen], normals[chosen] = more.faces, more.weights, more.normals
            passed[chosen] = skipped + more.distances
        faces[(normals * ways).sum(axis=1) >= 0] = -1
        return Hits(faces=faces, distances=passed, weights=weights, normals=normals)

    def smooth_normals(self, hits: Hits) -> Reals:
        """Normals between those of vertices [R, 3], where rays met faces; else any."""
        corners = self.normals[self.faces[np.maximum(hits.faces, 0)]]
        return unit(np.einsum("rk,rkc->rc", hits.weights, corners))
