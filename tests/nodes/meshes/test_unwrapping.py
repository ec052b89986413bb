"""Atlases of surfaces."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import pytest
import torch

from models.errors import InvalidInput
from nodes.context import Interrupted
from nodes.geometry.arrays import Indices, Reals
from nodes.mesh_textures import RenderUVAtlas, UnwrapMesh
from nodes.shapes import Mesh, Surface, mesh_of, surfaces_of
from nodes.texturing import unwrapping
from nodes.texturing.charts import connected_charts, segment
from nodes.texturing.rays import RayScene
from nodes.texturing.texels import NO_FACE, face_map
from nodes.texturing.unwrapping import unwrap
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.meshes.flat import square, surface, twice_covered
from tests.nodes.meshes.solids import Solid, as_mesh, both, cube, moved, sphere, torus

SIZE: Final = 256


def unwrapped(solid: Solid | Surface, *, cut_first: bool = True, weld: float = 0.0) -> Surface:
    """With an atlas for a picture of SIZE."""
    return unwrap(
        solid if isinstance(solid, Surface) else surface(solid),
        cut_first=cut_first,
        resolution=SIZE,
        padding=2,
        weld_distance=weld,
        check=lambda: None,
    )


def atlas(made: Surface) -> tuple[Reals, Indices, Indices]:
    """UVs, faces, and the chart of each face."""
    assert made.uvs is not None
    faces = made.faces.numpy()
    return made.uvs.double().numpy(), faces, connected_charts(faces, len(made.vertices))


def helicoid(turns: float = 2.5, steps: int = 200) -> Solid:
    """A ramp that winds over itself, with little slope."""
    angle = np.linspace(0, turns * 2 * np.pi, steps)
    rims = [(r * np.cos(angle), r * np.sin(angle), 0.05 * angle) for r in (1.0, 2.0)]
    points = np.stack([np.stack(rim, axis=1) for rim in rims], axis=1).reshape(-1, 3)
    i = np.arange(steps - 1) * 2
    return points, np.concatenate([np.stack(t, 1) for t in ((i, i + 1, i + 3), (i, i + 3, i + 2))])


@pytest.mark.parametrize("cut_first", [True, False])
@pytest.mark.parametrize(
    "solid", [cube(), sphere(3), torus(), both(cube(), moved(cube(), 5.0)), helicoid()]
)
def test_every_face_has_a_place_of_its_own(solid: Solid, cut_first: bool) -> None:
    made = unwrapped(solid, cut_first=cut_first)
    uvs, faces, _ = atlas(made)
    points, old_faces = solid
    assert np.allclose(made.vertices.numpy()[faces], points[old_faces])
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    assert twice_covered(uvs, faces, 512) < 0.002
    assert (face_map(uvs, faces, 512) != NO_FACE).mean() > 0.3


def test_a_cube_has_a_chart_for_each_side() -> None:
    made = unwrapped(cube())
    _, _, charts = atlas(made)
    assert charts.max() == 5
    assert len(made.vertices) == 24  # those on seams are doubled


def test_charts_are_apart_by_the_padding() -> None:
    uvs, faces, charts = atlas(unwrapped(sphere(3)))
    shown = face_map(uvs, faces, SIZE)
    chart_of = np.where(shown == NO_FACE, -1, charts[shown])
    for step in (1, 2):
        for axis in (0, 1):
            one, other = (np.roll(chart_of, -by, axis)[:-2, :-2] for by in (0, step))
            assert ((one == other) | (one == -1) | (other == -1)).all()


@pytest.mark.parametrize(("resolution", "padding"), [(0, 1), (8192, 1), (256, 16)])
def test_an_atlas_is_made_for_any_size_and_padding(resolution: int, padding: int) -> None:
    made = unwrap(
        surface(torus()),
        cut_first=True,
        resolution=resolution,
        padding=padding,
        weld_distance=0.0,
        check=lambda: None,
    )
    uvs, faces, _ = atlas(made)
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    assert twice_covered(uvs, faces, 512) < 0.002


def test_areas_in_the_atlas_are_about_those_of_faces() -> None:
    made = unwrapped(sphere(3))
    uvs, faces, _ = atlas(made)
    a, b, c = (made.vertices.double().numpy()[faces[:, i]] for i in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    first, second = uvs[faces[:, 1]] - uvs[faces[:, 0]], uvs[faces[:, 2]] - uvs[faces[:, 0]]
    flat = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    ratios = flat / areas
    assert ratios.max() / ratios.min() < 1.6  # no face leans much more than 44 degrees


def test_charts_bend_no_more_than_asked() -> None:
    points, faces = torus()
    charts, axes = segment(points, faces, lambda: None)
    a, b, c = (points[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert (normals * axes[charts]).sum(axis=1).min() > np.cos(np.radians(55))
    assert 8 < len(axes) < 100


def test_faces_without_area_join_a_chart_of_their_neighbours() -> None:
    points, faces = cube()
    split = np.concatenate([faces, [(0, 1, 1), (2, 2, 2)]])
    made = unwrapped((points, split))
    assert made.faces.shape == (14, 3)
    _, _, charts = atlas(made)
    assert len(np.unique(charts[:12])) == 6
    assert made.uvs is not None
    assert torch.isfinite(made.uvs).all()


def test_what_vertices_have_goes_along_and_pictures_of_other_uvs_do_not() -> None:
    whole = surface(sphere(1))
    named = replace(
        whole,
        normals=whole.vertices,
        colors=whole.vertices.abs(),
        tangents=torch.zeros(len(whole.vertices), 4),
        texture=torch.zeros(2, 2, 3),
    )
    made = unwrapped(named)
    assert made.normals is not None
    assert made.normals.equal(made.vertices)
    assert made.colors is not None
    assert made.colors.equal(made.vertices.abs())
    assert made.texture is made.tangents is None


def test_seams_of_an_earlier_atlas_are_not_seams_of_the_next() -> None:
    once = unwrapped(sphere(2))
    twice = unwrapped(once)
    assert atlas(twice)[2].max() == atlas(once)[2].max()


def test_vertices_that_are_close_become_one() -> None:
    points, faces = cube()
    loose = surface((points[faces].reshape(-1, 3), np.arange(36).reshape(-1, 3)))
    shaken = 1e-4 * torch.rand(36, 3, generator=torch.Generator().manual_seed(0))
    moved_apart = replace(loose, vertices=loose.vertices + shaken)
    assert atlas(unwrapped(moved_apart))[2].max() == 11  # each face is alone
    assert atlas(unwrapped(moved_apart, weld=0.001))[2].max() == 5


@pytest.mark.parametrize(
    ("solid", "weld", "message"),
    [
        (sphere(3), 1.0, "weld_distance 1 is too large for this mesh"),
        ((cube()[0] * 1e-5, cube()[1]), 0.1, r"weld_distance 0\.1 leaves no face"),
        ((cube()[0], np.zeros((0, 3), np.int64)), 0.0, "no faces to unwrap"),
        ((cube()[0] * np.nan, cube()[1]), 0.0, "vertices that are nowhere"),
    ],
)
def test_what_cannot_be_unwrapped_is_refused(solid: Solid, weld: float, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        unwrapped(solid, weld=weld)


def test_a_crash_of_xatlas_is_an_error_of_the_mesh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "crashes.py"
    monkeypatch.setattr(unwrapping, "_PROGRAM", program)
    for text, said in (
        ("import os; os.abort()", "it has crashed"),
        ("raise OSError('full')", "full"),
    ):
        program.write_text(text)
        with pytest.raises(InvalidInput, match=rf"{said}\. Try another segmenter"):
            unwrapped(cube())


def test_an_interruption_ends_the_program_that_unwraps() -> None:
    points, faces = sphere(5)
    # So rough that it takes long; xatlas crashes with finer ones now and then.
    rough = points + np.random.default_rng(0).normal(0, 0.02, points.shape)
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked > 3:  # the program runs
            raise Interrupted

    with pytest.raises(Interrupted):
        unwrap(
            surface((rough, faces)),
            cut_first=False,
            resolution=SIZE,
            padding=1,
            weld_distance=0.0,
            check=check,
        )
    assert not [
        child
        for child in psutil.Process().children()
        if any("xatlas_process" in part for part in child.cmdline())
    ]


def test_surfaces_of_a_batch_are_unwrapped_and_drawn_one_by_one(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        (mesh,) = UnwrapMesh().run(as_mesh(cube(), sphere(1)), "pec", SIZE, 1, 0.0)
        (drawn,) = RenderUVAtlas().run(mesh, 128)
    assert [len(made.faces) for made in surfaces_of(mesh)] == [12, 80]
    assert drawn.shape == (2, 128, 128, 3)
    colors = {tuple(color) for color in drawn[0].reshape(-1, 3).tolist()}
    assert len(colors) == 7  # of six charts, and black
    assert reporter.reports[-1][1:] == (2, 2)


def test_one_chart_of_many_faces_is_drawn_in_one_colour(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (drawn,) = RenderUVAtlas().run(mesh_of([square(5)]), 64)
        with pytest.raises(InvalidInput, match="no UVs: unwrap it first"):
            RenderUVAtlas().run(as_mesh(cube()), 64)
    assert drawn.amin(dim=(0, 1, 2)).equal(drawn.amax(dim=(0, 1, 2)))


def test_an_interrupted_node_stops(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        UnwrapMesh().run(Mesh(torch.rand(1, 3, 3), torch.arange(3)[None, None]), "pec", 64, 1, 0.0)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwrapping, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="needs the package xatlas: pip install xatlas"):
        unwrapped(cube())
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(InvalidInput, match="needs the package embreex: pip install embreex"):
        RayScene(*cube())
