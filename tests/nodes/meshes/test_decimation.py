"""Surfaces with fewer triangles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from nodes.context import Interrupted
from nodes.geometry.arrays import Indices, Reals
from nodes.geometry.decimation import Placement, decimate
from nodes.geometry.quadrics import Weights
from nodes.mesh_processing import DecimateMesh
from nodes.shapes import mesh_of, surfaces_of
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.meshes.solids import (
    Solid,
    area,
    as_mesh,
    as_solid,
    both,
    cube,
    divided,
    euler_characteristic,
    is_closed,
    is_manifold,
    moved,
    sheet,
    sphere,
    torus,
    volume,
)

MIDDLE = Placement(at_middle=True)
ON_EDGE = Placement()
FREE = Placement(on_edge=False)
PLACEMENTS = pytest.mark.parametrize("placement", [MIDDLE, ON_EDGE, FREE], ids=["mid", "on", "off"])


def fewer(solid: Solid, target: int, placement: Placement) -> Solid:
    """The surface with at most so many faces."""
    vertices, faces, _ = decimate(*solid, target, placement, lambda share: None)
    return vertices, faces


def fine_cube(levels: int = 3) -> Solid:
    """A cube of 12 * 4^levels faces."""
    solid = cube()
    for _ in range(levels):
        solid = divided(*solid)
    return solid


@PLACEMENTS
def test_a_sphere_keeps_its_form_and_stays_closed(placement: Placement) -> None:
    solid = sphere(4)
    vertices, faces = fewer(solid, 500, placement)
    assert 490 < len(faces) <= 500
    assert is_manifold(faces)
    assert euler_characteristic(faces) == 2
    assert volume((vertices, faces)) == pytest.approx(volume(solid), rel=0.045)
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.02


def test_a_free_place_keeps_more_of_the_volume_than_one_on_the_edge() -> None:
    solid = sphere(4)
    lost = [abs(volume(fewer(solid, 300, p)) / volume(solid) - 1) for p in (FREE, ON_EDGE, MIDDLE)]
    assert lost[0] < 0.5 * lost[1] <= 0.5 * lost[2]


@PLACEMENTS
def test_a_torus_keeps_its_hole(placement: Placement) -> None:
    _, faces = fewer(torus(), 300, placement)
    assert len(faces) <= 300
    assert is_manifold(faces)
    assert euler_characteristic(faces) == 0


@pytest.mark.parametrize("placement", [ON_EDGE, FREE], ids=["on", "off"])
def test_a_cube_of_many_faces_becomes_one_of_twelve(placement: Placement) -> None:
    vertices, faces = fewer(fine_cube(), 12, placement)
    assert len(faces) == 12
    assert volume((vertices, faces)) == pytest.approx(8)
    assert np.allclose(np.abs(vertices), 1, atol=1e-6)


@PLACEMENTS
def test_a_flat_sheet_keeps_its_border(placement: Placement) -> None:
    vertices, faces = fewer(sheet(), 40, placement)
    assert len(faces) <= 40
    assert np.abs(vertices[:, 2]).max() < 1e-9
    assert area((vertices, faces)) == pytest.approx(4, rel=0.02)


def test_a_sheet_keeps_its_four_corners() -> None:
    vertices, faces = fewer(sheet(), 2, ON_EDGE)
    assert len(faces) == 2
    assert np.allclose(np.abs(vertices[:, :2]), 1)


def test_the_error_is_small_where_the_surface_is_flat_and_faces_go_there_first() -> None:
    hill = sheet(40, 40)
    hill[0][:, 2] = np.exp(-8 * (hill[0][:, :2] ** 2).sum(axis=1))
    vertices, faces = fewer(hill, 400, FREE)
    centres = vertices[faces].mean(axis=1)
    inside = (np.abs(centres[:, :2]) < 0.5).all(axis=1).mean()
    assert inside > 0.5  # of the faces, on a quarter of the sheet
    height = np.exp(-8 * (vertices[:, :2] ** 2).sum(axis=1))
    assert np.abs(vertices[:, 2] - height).max() < 0.02


def test_the_surfaces_stay_near_to_each_other() -> None:
    solid = torus(96, 48)
    vertices, faces = fewer(solid, 1000, FREE)
    near = cKDTree(solid[0])
    middles = np.concatenate([vertices, vertices[faces].mean(axis=1)])
    assert near.query(middles)[0].max() < 0.06  # the vertices of the torus are 0.065 apart
    back = cKDTree(np.concatenate([middles, vertices[np.roll(faces, 1, 1)].mean(axis=1)]))
    assert np.quantile(back.query(solid[0])[0], 0.99) < 0.1


def test_two_parts_stay_two() -> None:
    vertices, faces = fewer(both(sphere(3), moved(sphere(3), 5)), 200, ON_EDGE)
    assert is_manifold(faces)
    assert euler_characteristic(faces) == 4
    assert {bool(x > 2.5) for x in vertices[:, 0]} == {True, False}


@PLACEMENTS
@pytest.mark.parametrize("target", [1, 3, 7])
def test_what_cannot_be_had_without_spoils_the_form_but_is_had(
    placement: Placement, target: int
) -> None:
    many = cube()
    for i in range(1, 4):
        many = both(many, moved(cube(), 3.0 * i))
    _, faces = fewer(many, target, placement)
    assert len(faces) <= target


@PLACEMENTS
def test_an_edge_of_three_faces_is_no_obstacle(placement: Placement) -> None:
    flat, fin = sheet(12, 12), sheet(12, 12)
    upright = np.stack([fin[0][:, 0], np.zeros(len(fin[0])), np.abs(fin[0][:, 1]) * 0.9], axis=1)
    vertices, faces = fewer(both(flat, (upright, fin[1])), 60, placement)
    assert len(faces) <= 60
    assert np.isfinite(vertices).all()


def test_faces_without_area_go_first() -> None:
    vertices, faces = sphere(2)
    broken = np.concatenate([faces, [[0, 0, 1], [5, 5, 5], [0, 1, 0]]])
    found, corners = fewer((vertices, broken), len(faces), ON_EDGE)
    assert len(corners) == len(faces)
    assert np.allclose(np.sort(found, axis=0), np.sort(vertices, axis=0))


@PLACEMENTS
def test_what_is_no_surface_at_all_has_few_faces_too(placement: Placement) -> None:
    generator = np.random.default_rng(0)
    soup = generator.normal(size=(50, 3)), generator.integers(0, 50, (400, 3))
    assert 10 < len(fewer(soup, 30, placement)[1]) <= 30
    one_face = sheet(2, 2)[0], np.array([[0, 1, 3]] * 5)
    assert len(fewer(one_face, 2, placement)[1]) <= 2
    a_point = np.zeros((6, 3)), np.array([[0, 1, 2], [3, 4, 5]])
    assert len(fewer(a_point, 1, placement)[1]) == 0
    a_line = np.c_[np.arange(9.0), np.zeros((9, 2))], np.arange(7)[:, None] + np.arange(3)
    assert len(fewer(a_line, 3, placement)[1]) <= 3


def test_slivers_are_no_obstacle() -> None:
    vertices, faces = sheet(8, 8)
    vertices = np.concatenate([vertices, vertices[faces[:, :2]].mean(axis=1)])
    a, b, c = faces.T
    middle = np.arange(len(faces)) + 81
    slivers = np.concatenate([np.stack([a, b, middle], 1), np.stack([a, middle, c], 1)])
    found, corners = fewer((vertices, slivers), 20, ON_EDGE)
    assert 0 < len(corners) <= 20
    assert np.isfinite(found).all()


def test_vertices_at_one_place_are_one() -> None:
    vertices, faces = sphere(3)
    torn: Reals = vertices[faces.ravel()]
    apart: Indices = np.arange(len(torn)).reshape(-1, 3)
    found, corners = fewer((torn, apart), 300, ON_EDGE)
    assert is_closed(corners)
    assert volume((found, corners)) == pytest.approx(volume((vertices, faces)), rel=0.06)


def test_lines_keep_vertices_evenly_spread() -> None:
    def flattest(weight: float) -> float:
        placement = Placement(on_edge=False, weights=Weights(lines=weight))
        vertices, faces = sheet(60, 60)
        tube = np.stack([vertices[:, 0] * 3, np.cos(vertices[:, 1]), np.sin(vertices[:, 1])], 1)
        places, corners = fewer((tube, faces), 300, placement)
        sides = places[np.roll(corners, 1, axis=1)] - places[corners]
        doubled = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
        return float(np.median(doubled / (sides**2).sum(axis=2).max(axis=1)))

    assert flattest(0.1) > 1.3 * flattest(0)


def test_sharp_edges_stay_where_they_count_more() -> None:
    generator = np.random.default_rng(1)
    vertices, faces = fine_cube(4)
    vertices = vertices + generator.normal(0, 0.01, vertices.shape)  # all a little uneven

    def along_edges(weight: float) -> float:
        placement = Placement(weights=Weights(features=weight, feature_degrees=60))
        places, _ = fewer((vertices, faces), 500, placement)
        return float(((np.abs(np.abs(places) - 1) < 0.06).sum(axis=1) >= 2).sum())

    assert along_edges(100) > along_edges(0)


def decimated(tmp_path: Path, mesh: Any, target: int, **mode: Any) -> Any:
    """The result of the node, with inputs as in a graph."""
    with node_context(tmp_path):
        (result,) = DecimateMesh().run_flat(mesh=mesh, target_face_count=target, **mode)
    return result


@pytest.mark.parametrize(
    "mode",
    [
        {"placement_mode": "midpoint"},
        {"placement_mode": "qem"},
        {"placement_mode": "qem", "placement_mode.clamp_v_to_edge": False},
    ],
)
def test_each_surface_of_a_batch_has_at_most_so_many_faces(
    tmp_path: Path, mode: dict[str, Any]
) -> None:
    mesh = as_mesh(sphere(3), cube(), torus())
    result = decimated(tmp_path, mesh, 200, **mode)
    counts = [len(surface.faces) for surface in surfaces_of(result)]
    assert 196 <= counts[0] <= 200 and counts[1] == 12 and 196 <= counts[2] <= 200
    assert volume(as_solid(result)) == pytest.approx(volume(sphere(3)), rel=0.09)


def test_no_target_leaves_surfaces_as_they_are(tmp_path: Path) -> None:
    mesh = as_mesh(sphere(2))
    result = decimated(tmp_path, mesh, 0, placement_mode="midpoint")
    assert result.faces[0].equal(mesh.faces[0])


def test_colours_are_mixed_and_normals_lost(tmp_path: Path) -> None:
    (plain,) = surfaces_of(as_mesh(sphere(4)))
    colored = replace(plain, colors=(plain.vertices + 1) / 2, normals=plain.vertices)
    result = decimated(tmp_path, mesh_of([colored]), 400, placement_mode="qem")
    (surface,) = surfaces_of(result)
    assert surface.normals is None
    assert surface.colors is not None
    assert surface.colors.sub((surface.vertices + 1) / 2).abs().max() < 0.02


def test_the_seams_of_a_texture_do_not_open(tmp_path: Path) -> None:
    vertices, faces = sheet(16, 16)
    left = vertices[faces].mean(axis=1)[:, 0] < 0  # two charts that meet at x = 0
    corners = np.where(left[:, None], faces, faces + len(vertices))
    (plain,) = surfaces_of(as_mesh((np.concatenate([vertices, vertices]), corners)))
    uvs = plain.vertices[:, :2] / 4 + 0.25
    uvs[len(vertices) :, 0] += 0.5
    result = decimated(tmp_path, mesh_of([replace(plain, uvs=uvs)]), 100, placement_mode="qem")
    (surface,) = surfaces_of(result)
    assert surface.uvs is not None
    places, right = surface.vertices, surface.uvs[:, 0] > 0.5
    expected = places[:, :2] / 4 + 0.25 + torch.stack([right * 0.5, right * 0.0], dim=1)
    assert surface.uvs.sub(expected).abs().max() < 1e-5
    seams = [set(places[on & (places[:, 0].abs() < 1e-6), 1].tolist()) for on in (right, ~right)]
    assert seams[0] == seams[1]
    assert len(surface.faces) <= 100


def test_progress_rises_and_ends_when_interrupted(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        DecimateMesh().run_flat(
            mesh=as_mesh(sphere(4), sphere(3)), target_face_count=100, placement_mode="qem"
        )
    values = [value for _, value, _ in reporter.reports]
    assert values == sorted(values) and values[-1] == 1 and len(values) > 10
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        DecimateMesh().run_flat(
            mesh=as_mesh(sphere(1)), target_face_count=9, placement_mode="midpoint"
        )
