"""Measures unwrapping, baking and writing of a mesh: python benchmarks/bake_textures.py

The mesh is a ball with waves on it, which is its own dense mesh, so that rays meet as much as they
can; the voxels are a shell around it.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from executor.folders import Folders
from nodes.context import NodeSettings, Services, use_services
from nodes.gltf import write_glb
from nodes.mesh_baking import BakeAmbientOcclusion, BakeNormalMapFromMesh, BakeTextureFromVoxel
from nodes.mesh_textures import ApplyTextureToMesh, RenderUVAtlas, UnwrapMesh
from nodes.shapes import Mesh, surfaces_of
from nodes.voxel_colors import SparseGrid, VoxelColors

Result = TypeVar("Result")


def ball(faces: int, waves: float) -> Mesh:
    """Of about so many faces, 1 across, with waves of this share of its radius."""
    around = round(faces**0.5)
    levels = around // 2
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    down = np.linspace(0, np.pi, levels + 2)[1:-1]
    u, v = np.meshgrid(turn, down)
    radius = 0.5 * (1 + waves * np.sin(9 * u) * np.sin(8 * v) * np.sin(v))
    sides = np.sin(v)
    points = np.stack([sides * np.cos(u), np.cos(v), sides * np.sin(u)], axis=-1)
    points = (radius[..., None] * points).reshape(-1, 3)
    rows, columns = np.meshgrid(np.arange(levels - 1), np.arange(around), indexing="ij")
    a, b = rows * around + columns, rows * around + (columns + 1) % around
    quads = np.stack([a, b, b + around, a + around], axis=-1).reshape(-1, 4)
    top, bottom = len(points), len(points) + 1
    first, last = np.arange(around), (levels - 1) * around + np.arange(around)
    caps = [
        np.stack([np.full(around, top), (first + 1) % around, first], axis=1),
        np.stack([np.full(around, bottom), last, np.roll(last, -1)], axis=1),
    ]
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], *caps])
    points = np.concatenate([points, [(0, 0.5, 0), (0, -0.5, 0)]])
    return Mesh(torch.from_numpy(points).float()[None], torch.from_numpy(triangles)[None])


def shell(mesh: Mesh, side: int) -> VoxelColors:
    """Voxels around the vertices, `side` of them along an axis, coloured by place."""
    cells = np.floor((mesh.vertices[0].numpy() + 0.6) * side).astype(np.int64)
    near = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3)
    places = np.unique((cells[:, None] + near).reshape(-1, 3), axis=0)
    attributes = np.concatenate([places / (side * 1.2), np.full((len(places), 3), 0.5)], axis=1)
    grid = SparseGrid(
        coordinates=torch.from_numpy(places),
        attributes=torch.from_numpy(attributes).float().clamp(0, 1),
        origin=(-0.6, -0.6, -0.6),
        voxel_size=1 / side,
    )
    return VoxelColors([grid])


def timed(name: str, work: Callable[[], Result]) -> Result:
    """Do it, and print how long it took."""
    start = time.perf_counter()
    result = work()
    print(f"{name}: {time.perf_counter() - start:.1f} s")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=2048, help="of the square pictures")
    parser.add_argument("--samples", type=int, default=64, help="rays of occlusion a texel")
    parser.add_argument("--voxels", type=int, default=512, help="along an axis")
    parser.add_argument("--segmenter", choices=["pec", "adaptive"], default="pec")
    arguments = parser.parse_args()
    size = arguments.size
    use_services(Services(folders=Folders.build(Path("/nonexistent")), settings=NodeSettings()))
    mesh = ball(arguments.faces, waves=0.1)
    colors = shell(mesh, arguments.voxels)
    print(f"{len(mesh.faces[0]):,} faces, {len(colors.data[0]):,} voxels, {size} x {size}")
    (flat,) = timed(
        f"UnwrapMesh ({arguments.segmenter})",
        lambda: UnwrapMesh().run(mesh, arguments.segmenter, size, 1, 0.0),
    )
    timed("RenderUVAtlas", lambda: RenderUVAtlas().run(flat, size))
    (bumps,) = timed(
        "BakeNormalMapFromMesh",
        lambda: BakeNormalMapFromMesh().run(flat, mesh, size, 0.05, True),
    )
    (open_sky,) = timed(
        f"BakeAmbientOcclusion, {arguments.samples} rays a texel",
        lambda: BakeAmbientOcclusion().run(flat, mesh, size, arguments.samples, 0.5, 1.0, 0.01),
    )
    looks: tuple[Tensor, Tensor, Tensor] = timed(
        "BakeTextureFromVoxel", lambda: BakeTextureFromVoxel().run(flat, colors, size, mesh)
    )
    (textured,) = timed(
        "ApplyTextureToMesh",
        lambda: ApplyTextureToMesh().run(flat, *looks, open_sky, bumps),
    )
    file = io.BytesIO()
    timed("a GLB file", lambda: write_glb(surfaces_of(textured)[0], file, {}))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{len(file.getvalue()) / 2**20:.0f} MiB; most resident memory {peak:,} MiB")


if __name__ == "__main__":
    main()
