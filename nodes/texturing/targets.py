"""Surfaces with an atlas that pictures are painted for, texel by texel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.errors import InvalidInput
from nodes.geometry.arrays import Flags, Indices, Reals
from nodes.geometry.normals import smooth_normals, unit
from nodes.shapes import Surface
from nodes.texturing.frames import tangents
from nodes.texturing.texels import NO_FACE, Texels, face_map, fill_gaps, texels_of, with_margin

# Values [T, C] of texels, and of which of them they are known [T].
Sample: TypeAlias = Callable[[Texels], tuple[Reals, Flags]]
Picture: TypeAlias = NDArray[np.float32]
Report: TypeAlias = Callable[[int, int], None]  # texels done, all of them; may raise


def as_reals(values: Tensor) -> Reals:
    """A tensor of a surface as an array."""
    array: Reals = values.detach().cpu().double().numpy()
    return array


def as_indices(values: Tensor) -> Indices:
    """Faces of a surface as an array."""
    array: Indices = values.detach().cpu().long().numpy()
    return array


def places_of(surface: Surface) -> Reals:
    """Where vertices are [N, 3]; raises InvalidInput where one is nowhere."""
    vertices = as_reals(surface.vertices)
    if not np.isfinite(vertices).all():
        raise InvalidInput("the mesh has vertices that are nowhere (NaN or infinite)")
    return vertices


def needs_uvs(surface: Surface) -> Reals:
    """The UVs of a surface; raises InvalidInput where it has none."""
    if surface.uvs is None:
        raise InvalidInput("the mesh has no UVs: unwrap it first (UnwrapMesh)")
    return as_reals(surface.uvs)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a picture is painted for."""

    vertices: Reals  # [N, 3]
    faces: Indices  # [M, 3]
    uvs: Reals  # [N, 2]
    normals: Reals  # [N, 3]
    shown: NDArray[np.int32]  # [size, size], as `texels.face_map` makes it, with a margin

    def points(self, texels: Texels) -> Reals:
        """Where texels are on the surface [T, 3]."""
        return texels.mix(self.vertices, self.faces)

    def looks(self, texels: Texels) -> Reals:
        """Which way the surface looks there [T, 3], smoothly."""
        return unit(texels.mix(self.normals, self.faces))

    def paint(self, channels: int, count: int, sample: Sample, report: Report) -> Picture:
        """A picture [size, size, channels], so many texels at once.

        Texels that show nothing, or of which nothing is known, have what the nearest one has.
        Raises InvalidInput where nothing is known of any.
        """
        size = self.shown.shape[0]
        picture = np.zeros((size * size, channels), np.float32)
        known = np.zeros(size * size, bool)
        total, done = int((self.shown != NO_FACE).sum()), 0
        report(0, total)
        for texels in texels_of(self.shown, self.uvs, self.faces, count):
            picture[texels.places], known[texels.places] = sample(texels)
            done += len(texels.places)
            report(done, total)
        if not known.any():
            raise InvalidInput("nothing is near the mesh that its texture could be taken of")
        picture = picture.reshape(size, size, channels)
        fill_gaps(picture, known.reshape(size, size))
        return picture


def target_of(surface: Surface, size: int) -> Target:
    """A surface and the texels of its atlas.

    Raises InvalidInput for a surface without UVs, and one whose UVs show no face.
    """
    uvs = needs_uvs(surface)
    vertices, faces = places_of(surface), as_indices(surface.faces)
    shown = face_map(uvs, faces, size)
    if (shown == NO_FACE).all():
        raise InvalidInput(
            f"the UVs of the mesh show no face in a picture of {size} x {size}: they are "
            "all of no size or outside of 0 to 1. Unwrap it anew (UnwrapMesh)"
        )
    return Target(
        vertices=vertices,
        faces=faces,
        uvs=uvs,
        normals=normals_of(surface),
        shown=with_margin(shown),
    )


def normals_of(surface: Surface) -> Reals:
    """The normals that a surface has, else smooth ones [N, 3]."""
    if surface.normals is not None:
        return unit(as_reals(surface.normals))
    return smooth_normals(places_of(surface), as_indices(surface.faces), 180)[0]


def tangents_of(surface: Surface) -> Reals:
    """The tangents that a surface has, else those of its UVs [N, 4]."""
    uvs = needs_uvs(surface)
    if surface.tangents is not None:
        return as_reals(surface.tangents)
    return tangents(places_of(surface), as_indices(surface.faces), uvs, normals_of(surface))
