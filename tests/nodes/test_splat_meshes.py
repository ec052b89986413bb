"""Surfaces of Gaussians."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.errors import InvalidInput
from models.memory import Policy
from nodes.gaussians import Splat
from nodes.gltf import write_glb
from nodes.shapes import Surface, surfaces_of
from nodes.splats import SplatToMesh
from nodes.tensors.splat_surfaces import otsu
from tests.models.conftest import policy
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.gaussian_scenes import CONSTANT
from tests.nodes.glb import read_glb

__all__ = ["policy"]


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


@pytest.fixture(autouse=True)
def context(tmp_path: Path, policy: Policy, reporter: RecordingReporter) -> Iterator[None]:
    with node_context(tmp_path, policy=policy, reporter=reporter):
        yield


def ball(radius: float = 1.0, *, at: float = 0.0, count: int = 15_000, seed: int = 0) -> Splat:
    """A full ball, red where x is above its middle, else blue."""
    drawn = torch.Generator().manual_seed(seed)
    looks = functional.normalize(torch.randn(count, 3, generator=drawn), dim=-1)
    places = looks * radius * torch.rand(count, 1, generator=drawn) ** (1 / 3)
    red = (places[:, :1] > 0).float()
    colors = torch.cat((red, torch.zeros(count, 1), 1 - red), dim=1)
    return Splat(
        positions=places + torch.tensor([at, 0.0, 0.0]),
        scales=torch.full((count, 3), radius * 0.05),
        rotations=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(count, 1),
        opacities=torch.full((count,), 0.9),
        harmonics=((colors - 0.5) / CONSTANT)[:, None],
    )


def both(one: Splat, other: Splat) -> Splat:
    """Two scenes in one."""
    return Splat(**{k: torch.cat((v, getattr(other, k))) for k, v in vars(one).items()})


def mesh_of_splat(splat: Splat, **options: Any) -> Surface:
    inputs: dict[str, Any] = {
        "resolution": 64, "kernel": 5, "smooth": 0, "level": 0.4, "min_component": 0,
        "min_opacity": 0.02, "color_sharpen": 2.0,
    }  # fmt: skip
    (mesh,) = SplatToMesh().run(splat, **(inputs | options))
    (surface,) = surfaces_of(mesh)
    return surface


def volume(surface: Surface) -> float:
    a, b, c = surface.vertices[surface.faces].unbind(dim=1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_the_surface_of_a_ball_is_closed_and_lies_around_it(reporter: RecordingReporter) -> None:
    surface = mesh_of_splat(ball(), min_component=500, smooth=3)
    assert [(done, total) for _, done, total in reporter.reports] == [(1, 3), (2, 3), (3, 3)]
    distance = surface.vertices.norm(dim=-1)
    assert distance.min() > 0.9
    assert distance.max() < 1.2
    assert volume(surface) == pytest.approx(4 / 3 * np.pi, rel=0.25)  # looks outwards, too
    edges = torch.cat([surface.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    key = edges[:, 0] * len(surface.vertices) + edges[:, 1]
    back = edges[:, 1] * len(surface.vertices) + edges[:, 0]
    assert sorted(key.tolist()) == sorted(back.tolist())


def test_vertices_have_the_colors_of_what_is_near() -> None:
    surface = mesh_of_splat(ball())
    assert surface.colors is not None
    right = surface.colors[surface.vertices[:, 0] > 0.15]
    left = surface.colors[surface.vertices[:, 0] < -0.15]
    torch.testing.assert_close(right.mean(dim=0), torch.tensor([1.0, 0.0, 0.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(left.mean(dim=0), torch.tensor([0.0, 0.0, 1.0]), atol=0.02, rtol=0)


def test_grey_is_linear_light() -> None:
    splat = ball()
    splat.harmonics = torch.zeros_like(splat.harmonics)  # 0.5 in sRGB
    surface = mesh_of_splat(splat)
    assert surface.colors is not None
    torch.testing.assert_close(
        surface.colors, torch.full_like(surface.colors, 0.21404), atol=1e-4, rtol=0
    )


def test_a_higher_level_makes_it_smaller() -> None:
    low, high = mesh_of_splat(ball(), level=0.3), mesh_of_splat(ball(), level=1.5)
    assert volume(high) < volume(low)


def test_small_parts_are_left_out() -> None:
    scene = both(ball(), ball(0.15, at=2.0, count=300, seed=1))
    whole, large = mesh_of_splat(scene), mesh_of_splat(scene, min_component=1500)
    assert whole.vertices[:, 0].max() > 1.9
    assert large.vertices[:, 0].max() < 1.3
    assert len(large.faces) < len(whole.faces)


def test_faint_gaussians_are_left_out() -> None:
    faint = ball(0.5, at=2.0, count=2000, seed=1)
    faint.opacities = torch.full_like(faint.opacities, 0.1)
    scene = both(ball(), faint)
    assert mesh_of_splat(scene, min_opacity=0.2).vertices[:, 0].max() < 1.3
    with pytest.raises(InvalidInput, match="no Gaussian has an opacity"):
        mesh_of_splat(scene, min_opacity=0.95)


@pytest.mark.parametrize("kernel", [1, 2, 8])
def test_kernels_of_all_sizes_keep_the_place(kernel: int) -> None:
    surface = mesh_of_splat(ball(count=20_000), kernel=kernel, min_component=2000)
    middle = (surface.vertices.amin(dim=0) + surface.vertices.amax(dim=0)) / 2
    assert middle.abs().max() < 0.08


def test_where_nothing_is_left_it_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="no part of the surface has 100000 faces"):
        mesh_of_splat(ball(), min_component=100_000)


def test_no_light_changes_the_colors_in_a_file() -> None:
    file = io.BytesIO()
    write_glb(mesh_of_splat(ball()), file, {})
    glb = read_glb(file.getvalue())
    assert glb.description["extensionsUsed"] == ["KHR_materials_unlit"]
    assert glb.material["extensions"] == {"KHR_materials_unlit": {}}
    assert "COLOR_0" in glb.attributes


def test_otsus_threshold_lies_between_two_kinds() -> None:
    values = torch.cat((torch.full((900,), 0.2), torch.full((100,), 0.8)))
    assert 0.2 < otsu(values) < 0.8
    assert otsu(values) == pytest.approx(0.5, abs=0.01)
