"""Surfaces made anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from models.errors import InvalidInput
from nodes.context import Interrupted
from nodes.geometry.cell_patches import both_pieces, patches
from nodes.geometry.clusters import clustered
from nodes.geometry.distance_fields import distance_field
from nodes.geometry.dual_contouring import contour
from nodes.geometry.remeshing import Remeshing, remesh
from nodes.geometry.smoothing import taubin
from nodes.mesh_processing import RemeshMesh
from nodes.shapes import Mesh, mesh_of, surfaces_of
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

RESOLUTION = 32


def anew(solid: Solid, **how: Any) -> Solid:
    """The surface made anew."""
    made = remesh(*solid, Remeshing(**{"resolution": RESOLUTION, **how}), lambda share: None)
    assert made is not None
    return made.vertices, made.faces


def without_top(solid: Solid, height: float) -> Solid:
    """The surface with a hole."""
    vertices, faces = solid
    return vertices, faces[vertices[faces].mean(axis=1)[:, 2] < height]


def turned(solid: Solid) -> Solid:
    """The surface aslant to the axes."""
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    return solid[0] @ (q * np.sign(np.linalg.det(q))), solid[1]


def test_the_field_has_the_distances_of_all_corners_near_to_a_surface() -> None:
    vertices, faces = turned(cube(8.0))
    vertices = vertices + 12
    sizes = (25, 25, 25)
    field = distance_field(vertices, faces, sizes, 2.0, lambda share: None)
    corners = np.stack(np.meshgrid(*(np.arange(25.0),) * 3, indexing="ij"), -1).reshape(-1, 3)
    dense = vertices, faces
    for _ in range(6):
        dense = divided(*dense)
    truth = cKDTree(dense[0]).query(corners)[0]
    assert np.all(np.diff(field.keys) > 0)
    assert set(np.flatnonzero(truth < 1.9)) <= set(field.keys) <= set(np.flatnonzero(truth < 2.1))
    assert np.abs(field.distances - truth[field.keys]).max() < 0.1


def test_a_signed_sphere_is_where_it_was() -> None:
    vertices, faces = anew(sphere(4), kind="surface", by_planes=True)
    assert is_manifold(faces)
    assert euler_characteristic(faces) == 2
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.01
    assert volume((vertices, faces)) == pytest.approx(volume(sphere(4)), rel=0.002)


def test_planes_make_sharp_edges_and_middles_round_ones() -> None:
    solid = turned(cube())
    sharp, round_ = (anew(solid, kind="surface", by_planes=planes) for planes in (True, False))
    corners = [cKDTree(made[0]).query(solid[0])[0].mean() for made in (sharp, round_)]
    assert corners[0] < 0.3 * corners[1]
    off = np.abs(np.abs(sharp[0] @ np.linalg.lstsq(solid[0], cube()[0])[0]).max(axis=1) - 1)
    assert off.max() < 0.01  # a tenth of a cell
    assert volume(sharp) == pytest.approx(8, rel=0.002)
    assert volume(round_) < 7.99


def test_a_torus_keeps_its_hole() -> None:
    _, faces = anew(torus(), kind="surface", manifold=True)
    assert is_manifold(faces)
    assert euler_characteristic(faces) == 0


def test_all_that_is_near_is_a_shell_inside_and_outside() -> None:
    vertices, faces = anew(sphere(4))
    assert is_closed(faces)
    assert euler_characteristic(faces) == 4
    radii = np.linalg.norm(vertices, axis=1)
    cell = 2 / RESOLUTION
    near = np.minimum(np.abs(radii - 1 - cell), np.abs(radii - 1 + cell))
    assert near.max() < 0.1 * cell


@pytest.mark.parametrize("kept", [{"drops_inverted": True}, {"drops_enclosed": True}])
def test_the_inside_of_a_shell_can_be_left_out(kept: dict[str, bool]) -> None:
    vertices, faces = anew(sphere(4), project_back=1.0, **kept)
    assert is_manifold(faces)
    assert euler_characteristic(faces) == 2
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.005


def test_the_band_is_how_far_the_shell_is_away() -> None:
    vertices, _ = anew(sphere(4), band=3.0)
    assert np.linalg.norm(vertices, axis=1).max() == pytest.approx(1 + 6 / RESOLUTION, abs=0.005)


def test_vertices_go_back_by_a_part() -> None:
    vertices, _ = anew(sphere(4), project_back=0.5, drops_inverted=True)
    assert np.linalg.norm(vertices, axis=1).mean() == pytest.approx(1 + 1 / RESOLUTION, abs=0.003)


def test_a_sheet_stays_one_where_it_has_sides_and_becomes_a_plate_where_not() -> None:
    signed, plate = anew(sheet(), kind="surface"), anew(sheet())
    assert np.abs(signed[0][:, 2]).max() < 1e-6
    assert area(signed) == pytest.approx(4, rel=0.08)
    assert is_manifold(plate[1])
    assert area(plate) == pytest.approx(8, rel=0.25)


def test_a_body_closes_gaps_that_are_narrow() -> None:
    solid = without_top(sphere(4), 0.93)  # a hole of some 12 cells
    open_, closed = (anew(solid, kind="body", gap=gap) for gap in (4.0, 20.0))
    assert is_closed(open_[1]) and is_closed(closed[1])
    assert volume(open_) < 0.5 * volume(solid)
    assert volume(closed) > volume(solid)
    assert euler_characteristic(closed[1]) == 2


def test_a_body_without_gaps_is_filled_whatever_is_closed() -> None:
    for gap in (0.0, 20.0):
        vertices, faces = anew(both(sphere(3), sphere(2, 0.5)), kind="body", gap=gap)
        assert euler_characteristic(faces) == 2
        assert np.linalg.norm(vertices, axis=1).min() > 0.95


def test_what_closes_a_gap_is_not_projected() -> None:
    vertices, _ = anew(without_top(sphere(4), 0.93), kind="body", gap=20.0, project_back=1.0)
    beside = np.linalg.norm(vertices[:, :2], axis=1) < 0.15
    assert (vertices[beside, 2] > 0.75).any()


def test_small_parts_are_dropped() -> None:
    solid = both(sphere(3), moved(sphere(1, 0.1), 2))
    counts = [
        euler_characteristic(anew(solid, kind="surface", smallest_part=share)[1])
        for share in (0.0, 0.1)
    ]
    assert counts == [4, 2]


def test_smoothing_takes_noise_away_and_keeps_the_volume() -> None:
    vertices, faces = sphere(4)
    noise = vertices * (1 + np.random.default_rng(0).normal(0, 0.01, (len(vertices), 1)))
    smooth = taubin(noise, faces, 10)
    rough = [np.linalg.norm(v, axis=1).std() for v in (noise, smooth)]
    assert rough[1] < 0.4 * rough[0]
    assert volume((smooth, faces)) == pytest.approx(volume((vertices, faces)), rel=0.01)


def test_no_edge_of_any_grid_has_more_than_two_faces() -> None:
    """Values by chance make every ambiguous cell there is, in all neighbourhoods."""
    vertices, faces = sphere(3)
    field = distance_field(vertices * 6 + 10, faces, (21, 21, 21), 3.9, lambda share: None)
    generator = np.random.default_rng(0)
    middle = np.abs(field.distances) < 1.5
    inside = (field.distances < 2.6) & (~middle | (generator.random(len(middle)) < 0.5))
    middles = contour(
        field,
        inside,
        lambda starts, ends, axes: (
            (field.places(field.keys[starts]) + field.places(field.keys[ends])) / 2,
            np.eye(3)[axes],
            field.triangles[starts],
        ),
        by_planes=False,
        manifold=True,
    )
    assert is_manifold(middles.faces)


def test_a_cell_has_as_many_pieces_as_its_surface() -> None:
    pieces, counts = patches()
    assert counts[0b00000001, 0] == 1  # one corner
    assert counts[0b10000001, 0] == 2  # two that are opposite in the cell
    assert counts[0b01101001, 0] == 4  # four that share no edge
    assert counts[0b00001001, 0] == 2  # two that are opposite on a side ...
    side = next(i for i in range(6) if counts[0b00001001, 1 << i] == 1)  # ... joined there
    assert both_pieces()[0b00001001, 1 << side, side]
    assert pieces.max() == 3


def test_near_vertices_become_one_where_there_are_too_many() -> None:
    vertices, _ = sphere(4)
    numbers = clustered(vertices, 200)
    assert 40 < len(np.unique(numbers)) <= 200
    assert np.linalg.norm(vertices[numbers] - vertices, axis=1).max() < 0.4
    coarse = anew(sphere(4), kind="surface", most_vertices=300)
    assert volume(coarse) == pytest.approx(volume(sphere(4)), rel=0.1)


def test_torn_and_flat_triangles_are_no_obstacle() -> None:
    vertices, faces = sphere(3)
    torn = vertices[faces.ravel()]
    apart = np.arange(len(torn)).reshape(-1, 3)
    flat = np.array([[0, 0, 1], [2, 2, 2], [0, 1, 1]])
    made = anew((torn, np.concatenate([apart, flat])), kind="surface")
    assert is_manifold(made[1])
    assert volume(made) == pytest.approx(volume((vertices, faces)), rel=0.01)


@pytest.mark.parametrize("kind", ["surface", "shell", "body"])
@pytest.mark.parametrize("manifold", [False, True])
def test_what_is_no_surface_at_all_has_a_form_too(kind: str, manifold: bool) -> None:
    generator = np.random.default_rng(0)
    soup = generator.normal(size=(20, 3)), generator.integers(0, 20, (40, 3))
    how = {"by_planes": True, "project_back": 0.5, "smoothing": 1, "smallest_part": 0.0}
    vertices, faces = anew(soup, kind=kind, manifold=manifold, **how)
    assert len(faces) > 1000
    assert np.isfinite(vertices).all()


def remeshed(tmp_path: Path, mesh: Any, **flat: Any) -> Any:
    """The result of the node, with inputs as in a graph."""
    with node_context(tmp_path):
        (result,) = RemeshMesh().run_flat(mesh=mesh, resolution=32, **flat)
    return result


@pytest.mark.parametrize(
    "mode",
    [
        {"sign_mode": "udf", "sign_mode.drop_inverted_components": True, "project_back": 1.0},
        {"sign_mode": "sdf", "sign_mode.manifold": True},
        {"sign_mode": "solid", "sign_mode.fill": 5.0, "smooth_iters": 2, "project_back": 1.0},
    ],
)
def test_surfaces_of_a_batch_are_made_anew_one_by_one(tmp_path: Path, mode: dict[str, Any]) -> None:
    solids = sphere(3), torus()
    result = remeshed(tmp_path, as_mesh(*solids), **mode)
    for index, solid in enumerate(solids):
        made = as_solid(result, index)
        assert is_closed(made[1])
        assert volume(made) == pytest.approx(volume(solid), rel=0.05)


def test_colours_are_those_of_the_place(tmp_path: Path) -> None:
    (plain,) = surfaces_of(as_mesh(sphere(4)))
    colored = replace(
        plain, colors=(plain.vertices + 1) / 2, uvs=plain.vertices[:, :2], normals=plain.vertices
    )
    (surface,) = surfaces_of(remeshed(tmp_path, mesh_of([colored]), sign_mode="sdf"))
    assert surface.colors is not None
    assert surface.colors.sub((surface.vertices + 1) / 2).abs().max() < 0.02
    assert surface.uvs is None and surface.normals is None


def test_a_surface_without_triangles_stays_so(tmp_path: Path) -> None:
    mesh = Mesh(torch.zeros(1, 4, 3), torch.tensor([[[0, 1, 2], [0, 0, 0]]]))
    result = remeshed(tmp_path, mesh, sign_mode="udf")
    assert result.faces.shape == (1, 0, 3)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    needle = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 1e-4, 0]]), np.array([[0, 1, 2]])
    assert len(remeshed(tmp_path, as_mesh(needle), sign_mode="udf").faces[0])
    with pytest.raises(InvalidInput, match="nothing is left of a surface"):
        remeshed(tmp_path, as_mesh(needle), sign_mode="sdf")


def test_progress_rises_and_ends_when_interrupted(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        RemeshMesh().run_flat(mesh=as_mesh(sphere(3), cube()), resolution=48, sign_mode="solid")
    values = [value for _, value, _ in reporter.reports]
    assert values == sorted(values) and values[-1] == 1 and len(values) > 8
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        RemeshMesh().run_flat(mesh=as_mesh(cube()), resolution=32, sign_mode="udf")
