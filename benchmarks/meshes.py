"""Measures how long large surfaces take to change: python benchmarks/meshes.py

Each work runs in a process of its own, so that its memory is its own, too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

import numpy as np

from nodes.geometry.arrays import Indices, Reals
from nodes.geometry.decimation import Placement, decimate
from nodes.geometry.nearest_voxels import nearest_voxels
from nodes.geometry.normals import smooth_normals
from nodes.geometry.quadrics import Weights
from nodes.geometry.remeshing import Remeshing, remesh

_MANY_WEIGHTS: Final = Weights(lines=0.01, features=10.0)


def dented_sphere(faces: int) -> tuple[Reals, Indices]:
    """About so many faces between rings of vertices."""
    rows = int((faces / 4) ** 0.5)
    columns = 2 * rows
    down, around = np.meshgrid(np.arange(rows + 1), np.arange(columns), indexing="ij")
    a, b = np.pi * down / rows, 2 * np.pi * around / columns
    directions = np.stack([np.sin(a) * np.cos(b), np.cos(a), np.sin(a) * np.sin(b)], axis=-1)
    dents = 1 + 0.1 * np.sin(9 * directions[..., :1]) * np.cos(7 * directions[..., 1:2])
    numbers = np.arange(directions.shape[0] * columns).reshape(-1, columns)
    beside = np.roll(numbers, -1, axis=1)
    quads = np.stack([numbers[:-1], beside[:-1], beside[1:], numbers[1:]], axis=-1).reshape(-1, 4)
    corners = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return (directions * dents).reshape(-1, 3), corners


def works(faces: int, target: int, resolution: int) -> Mapping[str, Callable[[], object]]:
    """What is measured, by name."""
    vertices, corners = dented_sphere(faces)

    def fewer(placement: Placement) -> object:
        return decimate(vertices, corners, target, placement, lambda share: None)

    def anew(**how: object) -> object:
        return remesh(
            vertices,
            corners,
            Remeshing(resolution=resolution, **how),  # type: ignore[arg-type]
            lambda share: None,
        )

    def painted() -> object:
        cells = np.unique(np.floor(vertices * 256).astype(np.int64), axis=0)
        return nearest_voxels(vertices * 256 + 0.5, cells, lambda share: None)

    return {
        "normals, smooth": lambda: smooth_normals(vertices, corners, 180),
        "normals, creases": lambda: smooth_normals(vertices, corners, 30),
        "paint": painted,
        "decimate, midpoint": lambda: fewer(Placement(at_middle=True)),
        "decimate, qem": lambda: fewer(Placement()),
        "decimate, qem, all weights": lambda: fewer(
            Placement(on_edge=False, weights=_MANY_WEIGHTS)
        ),
        "remesh, udf": lambda: anew(drops_inverted=True, project_back=1.0),
        "remesh, sdf": lambda: anew(kind="surface", by_planes=True),
        "remesh, sdf, manifold": lambda: anew(kind="surface", by_planes=True, manifold=True),
        "remesh, solid": lambda: anew(kind="body", gap=20.0),
    }


def measured(name: str, faces: int, target: int, resolution: int) -> tuple[float, float, float]:
    """Seconds, those of all processors, and the most memory of the process in GiB."""
    work = works(faces, target, resolution)[name]
    start, computed = time.perf_counter(), time.process_time()
    work()
    taken, computed = time.perf_counter() - start, time.process_time() - computed
    return taken, computed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--target", type=int, default=200_000, help="faces that are left")
    parser.add_argument("--resolution", type=int, default=512, help="cells along a side")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="works whose names begin with this")
    arguments = parser.parse_args()
    sizes = arguments.faces, arguments.target, arguments.resolution
    names = [n for n in works(100, 10, 32) if n.startswith(arguments.only)]
    print(f"{sizes[0]:,} faces, {sizes[1]:,} left, {sizes[2]} cells")
    for name in names:
        runs = []
        for _ in range(arguments.runs):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                runs.append(process.submit(measured, name, *sizes).result())
        taken, computed, memory = zip(*runs, strict=True)
        print(
            f"{name}: median {statistics.median(taken):.1f} s "
            f"({min(taken):.1f} to {max(taken):.1f}), of processors "
            f"{statistics.median(computed):.1f} s, {max(memory):.1f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
