"""What rays meet on a surface: Intel's Embree, through the package embreex."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from nodes.geometry.arrays import Flags, Indices, Reals
from nodes.geometry.normals import unit

Lines: TypeAlias = NDArray[np.floating[Any]]
Singles: TypeAlias = NDArray[np.float32]
Part = TypeVar("Part")

_THREADS: Final = os.cpu_count() or 1
_FEWEST: Final = 4096  # rays that are worth a thread


@dataclass(frozen=True, kw_only=True)
class Hits:
    """The first faces that rays meet."""

    faces: Indices  # [R], -1 where there is none
    distances: Reals  # [R] along the ray
    weights: Reals  # [R, 3] of the corners of the face
    normals: Reals  # [R, 3] of the face, length one


class RayScene:
    """A surface as rays see it: vertices [N, 3], faces [M, 3]. Rays meet both sides of faces."""

    def __init__(self, vertices: Reals, faces: Indices) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError:
            raise InvalidInput("baking needs the package embreex: pip install embreex") from None
        self._scene = EmbreeScene(robust=True)  # no ray passes between two faces
        TriangleMesh(
            self._scene,
            np.ascontiguousarray(vertices, np.float32),
            np.ascontiguousarray(faces, np.int32),
        )
        nothing = np.zeros((1, 3), np.float32)
        self._scene.run(nothing, nothing + 1)  # builds the tree, which threads must not do at once

    def first(self, origins: Lines, directions: Lines, within: Lines) -> Hits:
        """What rays [R, 3] of length one meet first, closer than `within` [R]."""

        def cast(part: slice) -> dict[str, NDArray[Any]]:
            found: dict[str, NDArray[Any]] = self._scene.run(
                *_rays(origins, directions, within, part), output=True
            )
            return found

        parts = _in_threads(cast, len(origins))
        u, v, faces, distances, normals = (
            np.concatenate([part[name] for part in parts])
            for name in ("u", "v", "primID", "tfar", "Ng")
        )
        return Hits(
            faces=faces.astype(np.int64),
            distances=distances.astype(np.float64),
            weights=np.stack([1 - u - v, u, v], axis=1).astype(np.float64),
            normals=unit(normals.astype(np.float64)),
        )

    def occluded(self, origins: Lines, directions: Lines, within: Lines) -> Flags:
        """Whether rays [R, 3] of length one meet anything closer than `within` [R]."""

        def cast(part: slice) -> Flags:
            rays = _rays(origins, directions, within, part)
            met: Flags = self._scene.run(*rays, query="OCCLUDED") >= 0
            return met

        return np.concatenate(_in_threads(cast, len(origins)))


def _rays(origins: Lines, directions: Lines, within: Lines, part: slice) -> tuple[Singles, ...]:
    """A part of the rays as Embree takes them; it writes into the distances."""
    return (
        np.ascontiguousarray(origins[part], np.float32),
        np.ascontiguousarray(directions[part], np.float32),
        np.array(within[part], np.float32),
    )


def _in_threads(cast: Callable[[slice], Part], count: int) -> list[Part]:
    """Cast rays in equal parts, one for each core; Embree lets other threads run."""
    threads = max(min(_THREADS, count // _FEWEST), 1)
    bounds = np.linspace(0, count, threads + 1).astype(int)
    parts = [slice(a, b) for a, b in pairwise(bounds)]
    if threads == 1:
        return [cast(parts[0])]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(cast, parts))
