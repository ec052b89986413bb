"""Normals of surfaces, and where they split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import InvalidInput
from nodes.geometry.normals import smooth_normals
from nodes.mesh_processing import MeshSmoothNormals
from nodes.shapes import Mesh, mesh_of, surfaces_of
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.meshes.solids import as_mesh, both, cube, moved, sheet, sphere


def test_the_normals_of_a_sphere_are_its_places() -> None:
    vertices, faces = sphere(4)
    normals, corners, copied = smooth_normals(vertices, faces, 180)
    assert np.abs(normals - vertices).max() < 2e-3
    assert np.array_equal(corners, faces)
    assert np.array_equal(copied, np.arange(len(vertices)))


def test_the_normals_of_a_cube_do_not_depend_on_its_diagonals() -> None:
    vertices, faces = cube()
    normals, _, _ = smooth_normals(vertices, faces, 180)
    assert np.allclose(normals, vertices / 3**0.5)


def test_a_cube_splits_into_its_six_sides() -> None:
    vertices, faces = cube()
    normals, corners, copied = smooth_normals(vertices, faces, 30)
    assert len(normals) == 24  # four for each side: its two triangles share theirs
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a) / 4
    assert np.allclose(normals[corners], flat[:, None])
    assert np.array_equal(copied[corners], faces)


@pytest.mark.parametrize(("crease", "copies"), [(89, 24), (90, 8), (91, 8)])
def test_an_edge_is_hard_where_it_is_sharper_than_the_angle(crease: float, copies: int) -> None:
    assert len(smooth_normals(*cube(), crease)[0]) == copies


def test_an_edge_of_one_smooth_side_splits_what_is_beside_it_only() -> None:
    vertices, faces = sheet(2, 1)
    vertices = vertices.copy()
    vertices[vertices[:, 0] > 0.5, 2] = 1.0  # folded about the line x = 0
    normals, _, copied = smooth_normals(vertices, faces, 30)
    assert len(copied) == 8  # the two vertices on the fold twice
    assert np.bincount(copied).tolist() == [1, 1, 2, 2, 1, 1]
    assert {round(float(z), 4) for z in normals[:, 2]} == {1.0, round(0.5**0.5, 4)}


def test_vertices_at_one_place_have_one_normal() -> None:
    vertices, faces = sphere(2)
    torn = vertices[faces.ravel()]  # every triangle by itself
    normals, _, _ = smooth_normals(torn, np.arange(len(torn)).reshape(-1, 3), 180)
    whole, _, _ = smooth_normals(vertices, faces, 180)
    assert np.allclose(normals, whole[faces.ravel()])


def test_what_has_no_area_and_what_no_face_uses_has_a_direction_too() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 9, 9]])
    normals, _, _ = smooth_normals(vertices, np.array([[0, 1, 2], [0, 0, 1]]), 180)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)


def test_all_that_is_known_of_a_vertex_goes_along_with_its_copies(tmp_path: Path) -> None:
    plain = surfaces_of(as_mesh(cube(), sphere(1)))
    colored = [replace(one, colors=torch.rand(len(one.vertices), 3)) for one in plain]
    mesh = mesh_of(colored)
    with node_context(tmp_path):
        (smooth,) = MeshSmoothNormals().run(mesh, 45.0)
    after = surfaces_of(smooth)
    assert [len(surface.vertices) for surface in after] == [24, 42]
    for old, new in zip(colored, after, strict=True):
        assert old.colors is not None and new.colors is not None and new.normals is not None
        assert new.colors[new.faces].equal(old.colors[old.faces])
        assert new.vertices[new.faces].equal(old.vertices[old.faces])
        assert new.normals.norm(dim=1).allclose(torch.ones(1))
    assert surfaces_of(mesh)[0].normals is None


def test_progress_goes_over_all_surfaces(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        MeshSmoothNormals().run(as_mesh(cube(), both(cube(), moved(cube(), 3))), 180.0)
    assert [value for _, value, _ in reporter.reports] == [0, 0.5, 1]


def test_an_empty_surface_stays_empty(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (smooth,) = MeshSmoothNormals().run(
            Mesh(torch.zeros(1, 0, 3), torch.zeros(1, 0, 3, dtype=torch.long)), 30.0
        )
    (surface,) = surfaces_of(smooth)
    assert surface.normals is not None
    assert surface.normals.shape == (0, 3)


@pytest.mark.parametrize(
    ("vertices", "faces", "reason"),
    [
        (torch.full((1, 3, 3), torch.nan), torch.tensor([[[0, 1, 2]]]), "no finite numbers"),
        (torch.zeros(1, 3, 3), torch.tensor([[[0, 1, 3]]]), "vertices it has not"),
        (torch.zeros(1, 4, 3), torch.tensor([[[0, 1, 2, 3]]]), r"faces \[M, 3\]"),
    ],
)
def test_what_is_no_surface_is_refused(
    tmp_path: Path, vertices: torch.Tensor, faces: torch.Tensor, reason: str
) -> None:
    with node_context(tmp_path), pytest.raises(InvalidInput, match=reason):
        MeshSmoothNormals().run(Mesh(vertices, faces), 30.0)
