"""Colours of vertices from voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nodes.context import Interrupted
from nodes.geometry.nearest_voxels import nearest_voxels
from nodes.mesh_processing import PaintMesh
from nodes.shapes import Mesh, surfaces_of
from nodes.voxel_colors import SparseGrid, VoxelColors
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.meshes.solids import as_mesh, cube, sphere


def halves(color: tuple[float, float, float]) -> SparseGrid:
    """Two voxels beside one another along x in -1..1: black, then that color."""
    attributes = torch.zeros(2, 6)
    attributes[1, :3] = torch.tensor(color)
    return SparseGrid(
        coordinates=torch.tensor([[0, 0, 0], [1, 0, 0]]),
        attributes=attributes,
        origin=(-1, -0.5, -0.5),
        voxel_size=1.0,
    )


def colors_of(mesh: Mesh) -> list[torch.Tensor]:
    """The colours of the vertices of each surface."""
    return [one.colors for one in surfaces_of(mesh) if one.colors is not None]


def test_the_nearest_voxel_is_found_inside_and_outside() -> None:
    generator = np.random.default_rng(0)
    coordinates = np.unique(generator.integers(-4, 5, (60, 3)), axis=0)
    points = generator.uniform(-9, 9, (500, 3))
    distances = np.linalg.norm(points[:, None] - (coordinates + 0.5), axis=-1)
    found = nearest_voxels(points, coordinates, lambda share: None)
    assert np.allclose(distances[np.arange(500), found], distances.min(axis=1))


def test_vertices_have_the_color_of_their_side_made_linear(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (painted,) = PaintMesh().run(as_mesh(sphere(2)), VoxelColors([halves((1, 0.5, 0.04))]))
    right = painted.vertices[0][:, 0] > 1e-6
    left = painted.vertices[0][:, 0] < -1e-6
    expected = torch.tensor([1.0, 0.21404, 0.04 / 12.92])
    assert colors_of(painted)[0][right].allclose(expected, atol=1e-5)
    assert colors_of(painted)[0][left].eq(0).all()


def test_each_surface_of_a_batch_has_its_own_voxels(tmp_path: Path) -> None:
    grids = VoxelColors([halves((1, 1, 1)), halves((0, 1, 0))])
    with node_context(tmp_path):
        (painted,) = PaintMesh().run(as_mesh(sphere(1), cube(), cube()), grids)
    assert [colors.max(dim=0).values.tolist() for colors in colors_of(painted)] == [
        [1, 1, 1],
        [0, 1, 0],
        [0, 1, 0],
    ]


def test_painting_ends_when_it_is_interrupted(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        PaintMesh().run(as_mesh(cube()), VoxelColors([halves((1, 1, 1))]))
