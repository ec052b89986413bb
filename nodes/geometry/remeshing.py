"""Surfaces made anew of their distance on a grid: even triangles, whatever they were before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals, Step, dots, part_of
from nodes.geometry.closest_points import at_weights, closest_points, nearer_of
from nodes.geometry.clusters import clustered
from nodes.geometry.distance_fields import DistanceField, distance_field, nearest_of
from nodes.geometry.dual_contouring import Contour, Cut, contour
from nodes.geometry.filling import Filled, fill
from nodes.geometry.normals import face_crosses, unit
from nodes.geometry.parts import without_enclosed, without_inverted, without_small
from nodes.geometry.signs import Sides
from nodes.geometry.smoothing import taubin
from nodes.geometry.threads import in_parts
from nodes.geometry.topology import compacted, same_places, whole_faces

_FLAT: Final = 1e-9  # the height of a triangle to its longest side
_STEPS: Final = 3  # towards the place where an edge is cut
_FARTHEST: Final = 3**0.5  # from a corner to a surface that goes through its cell


# The surface itself; all that is `band` cells away from it; or the outside of what that holds.
Kind: TypeAlias = Literal["surface", "shell", "body"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remeshing:
    """How a surface is made anew."""

    resolution: int = 512  # cells along the longest side
    kind: Kind = "shell"
    band: float = 1.0
    by_planes: bool = False  # sharp edges
    manifold: bool = False
    gap: float = 0.0  # of a body: in cells, how wide gaps are that are closed
    drops_inverted: bool = False
    drops_enclosed: bool = False
    project_back: float = 0.0  # how far vertices go to the surface that was
    smoothing: int = 0
    smallest_part: float = 0.01  # of the largest
    most_vertices: int = 0  # of the surface that was; 0: all


@dataclass(frozen=True, kw_only=True, slots=True)
class Remeshed:
    """A surface, and where on the one that was its vertices lie."""

    vertices: Reals  # [N, 3]
    faces: Indices  # [M, 3]
    sources: Indices  # [N, 3] vertices of the surface that was ...
    weights: Reals  # [N, 3] ... and what part each has


def remesh(vertices: Reals, faces: Indices, how: Remeshing, step: Step) -> Remeshed | None:
    """The surface made anew. None where it has no triangle with an area."""
    faces = _joined(vertices, faces, how.most_vertices)
    if not len(faces):
        return None
    low = vertices[faces].min(axis=(0, 1))
    cell = float((vertices[faces].max(axis=(0, 1)) - low).max()) / how.resolution
    reach = _FARTHEST + 1e-3 if how.kind == "surface" else how.band + 1 + 1e-3
    margin = np.ceil(reach) + 2.5  # flat sides between the corners of the grid
    places = (vertices - low) / cell + margin
    x, y, z = (int(np.ceil(size)) for size in places[faces].max(axis=(0, 1)) + margin + 1)
    near = distance_field(places, faces, (x, y, z), reach, part_of(step, 0, 0.7))
    surface = _Surface(places=places, faces=faces, corners=places[faces])
    made = surface.made(near, how, part_of(step, 0.7, 0.8))
    step(0.8)
    found = _whole(surface, made, how, step)
    return replace(found, vertices=(found.vertices - margin) * cell + low)


def _joined(vertices: Reals, faces: Indices, most: int) -> Indices:
    """The faces that have an area, with one vertex at a place, or one of a few that are near."""
    numbers = same_places(vertices)
    first = np.zeros(len(vertices), np.int64)
    first[numbers[::-1]] = np.arange(len(vertices))[::-1]
    stands = first[numbers]
    if 0 < most < int(numbers.max(initial=-1)) + 1:
        stands = clustered(vertices, most)
    whole = whole_faces(stands[faces])
    crosses = face_crosses(vertices, whole)
    sides = [vertices[whole[:, i]] - vertices[whole[:, i - 1]] for i in range(3)]
    longest = np.maximum.reduce([dots(side, side) for side in sides])
    with_area: Indices = whole[np.sqrt(dots(crosses, crosses)) > _FLAT * longest]
    return with_area


@dataclass(frozen=True, kw_only=True, slots=True)
class _Surface:
    """The surface that was, in cells of the grid."""

    places: Reals  # [N, 3] of vertices
    faces: Indices  # [M, 3]
    corners: Reals  # [M, 3, 3]

    def made(self, near: DistanceField, how: Remeshing, step: Step) -> Contour:
        """The surface made anew."""
        if how.kind == "surface":
            return self._itself(near, how)
        shell = near.distances < how.band
        if how.kind == "shell":
            return self._shell(near, shell, how)
        filled = fill(near, shell, how.gap, step)
        return self._shell(*self._with_walls(near, filled), how)

    def _with_walls(self, near: DistanceField, filled: Filled) -> tuple[DistanceField, Flags]:
        """A field with the corners where gaps are closed, and which of all are inside."""
        from scipy.spatial import cKDTree  # takes long to import

        keys = np.r_[near.keys, filled.walls]
        order = np.argsort(keys)
        nearest = near.triangles
        if len(filled.walls):
            tree = cKDTree(self.corners.mean(axis=1))
            nearest = np.r_[nearest, tree.query(near.places(filled.walls))[1]]
        field = DistanceField(
            sizes=near.sizes,
            keys=keys[order],
            distances=np.r_[near.distances, np.full(len(filled.walls), np.inf)][order],
            triangles=nearest[order],
        )
        return field, np.r_[filled.inside, filled.walls_inside][order]

    def _itself(self, near: DistanceField, how: Remeshing) -> Contour:
        """The surface, on the corners whose sides are told by its triangles."""
        sides = Sides.of(self.places, self.faces)
        inside, beyond = in_parts(
            lambda keys, triangles: sides.of_points(near.places(keys), triangles),
            near.keys,
            near.triangles,
        )

        def cut(starts: Indices, ends: Indices, axes: Indices) -> tuple[Reals, Reals, Indices]:
            p = near.places(near.keys[starts])
            share = near.distances[starts] / np.maximum(
                near.distances[starts] + near.distances[ends], 1e-12
            )
            best = np.full(len(p), np.inf)
            points, triangles = p.copy(), near.triangles[starts]
            for numbers in (near.triangles[starts], near.triangles[ends]):
                at = self._through(p, axes, numbers, share)
                away, _ = closest_points(at, self.corners[numbers])
                nearer = away < best
                best = np.where(nearer, away, best)
                points = np.where(nearer[:, None], at, points)
                triangles = np.where(nearer, numbers, triangles)
            return points, sides.of_faces[triangles], triangles

        return self._contour(near, inside, cut, how, beyond)

    def _through(self, starts: Reals, axes: Indices, triangles: Indices, otherwise: Reals) -> Reals:
        """Where edges of the grid go through the planes of triangles, if they do."""
        corners = self.corners[triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        slope = np.take_along_axis(normals, axes[:, None], 1)[:, 0]
        height = dots(normals, corners[:, 0] - starts)
        share = height / np.where(slope == 0, 1.0, slope)
        goes = (slope != 0) & (share >= 0) & (share <= 1)
        return starts + np.where(goes, share, otherwise)[:, None] * np.eye(3)[axes]

    def _shell(self, near: DistanceField, inside: Flags, how: Remeshing) -> Contour:
        """All that is `band` cells away from the surface; walls are halfway between corners."""

        def cut(starts: Indices, ends: Indices, axes: Indices) -> tuple[Reals, Reals, Indices]:
            p, along = near.places(near.keys[starts]), np.eye(3)[axes]
            one, other = near.triangles[starts], near.triangles[ends]
            low, high = near.distances[starts] - how.band, near.distances[ends] - how.band
            wall = (low >= 0) & (high >= 0)
            low, high = np.where(wall, -1.0, low), np.where(wall, 1.0, high)
            low_at, high_at = np.zeros(len(p)), np.ones(len(p))
            for _ in range(_STEPS):  # regula falsi
                share = low_at + (high_at - low_at) * low / (low - high)
                points = p + share[:, None] * along
                away, nearest = nearer_of(points, self.corners, one, other)
                value = away - how.band
                before = (value < 0) == (low < 0)
                low_at, low = np.where(before, share, low_at), np.where(before, value, low)
                high_at, high = np.where(before, high_at, share), np.where(before, high, value)
            _, weights = closest_points(points, self.corners[nearest])
            normals = unit(points - at_weights(self.corners[nearest], weights))
            points = np.where(wall[:, None], p + along / 2, points)
            return points, np.where(wall[:, None], along, normals), nearest

        return self._contour(near, inside, cut, how)

    def _contour(
        self,
        near: DistanceField,
        inside: Flags,
        cut: Cut,
        how: Remeshing,
        beyond: Flags | None = None,
    ) -> Contour:
        def in_little_memory(*rows: Indices) -> tuple[Reals, Reals, Indices]:
            points, normals, triangles = in_parts(cut, *rows)
            return points, normals, triangles

        return contour(
            near,
            inside,
            in_little_memory,
            by_planes=how.by_planes,
            manifold=how.manifold,
            beyond=beyond,
        )

    def under(self, made: Contour) -> tuple[Indices, Reals, Reals]:
        """Where each vertex is nearest: the triangle of those it was made of, and the weights of
        its corners; and that place."""
        (squares,) = in_parts(
            lambda makers, triangles: closest_points(
                made.vertices[makers], self.corners[triangles]
            )[:1],
            made.makers,
            made.triangles,
        )
        _, _, nearest = nearest_of([(made.makers, squares, made.triangles)])
        weights, places = in_parts(self._nearest_on, made.vertices, nearest)
        return nearest, weights, places

    def _nearest_on(self, points: Reals, triangles: Indices) -> tuple[Reals, Reals]:
        corners = self.corners[triangles]
        _, weights = closest_points(points, corners)
        return weights, at_weights(corners, weights)


def _whole(surface: _Surface, made: Contour, how: Remeshing, step: Step) -> Remeshed:
    """The surface without the parts that are to go, projected and made smooth."""
    nearest, weights, places = surface.under(made)
    step(0.9)
    away = places - made.vertices
    # What closes gaps belongs to no surface that was.
    near = np.sqrt(dots(away, away))[:, None] < how.band + 1 + _FARTHEST
    vertices = made.vertices + np.where(near, how.project_back * away, 0.0)
    faces = without_small(vertices, made.faces, how.smallest_part)
    if how.drops_inverted:
        faces = without_inverted(vertices, faces)
    if how.drops_enclosed:
        faces = without_enclosed(vertices, faces)
    faces, used = compacted(faces, len(vertices))
    step(0.95)
    return Remeshed(
        vertices=taubin(vertices[used], faces, how.smoothing),
        faces=faces,
        sources=surface.faces[nearest[used]],
        weights=weights[used],
    )
