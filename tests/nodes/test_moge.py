"""Whole workflows of MoGe: a picture to its geometry, its renders, and a model file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from executor.folders import Folders
from models.memory import Policy
from nodes.moge import LoadMoGeModel, MoGeInference, MoGePanoramaInference
from nodes.point_maps import MoGeGeometryToFOV, MoGePointMapToMesh, MoGeRender
from nodes.shapes import surfaces_of
from tests.models.conftest import policy
from tests.models.geometry.seeded import picture
from tests.models.geometry.test_moge import tiny_file
from tests.nodes.context import RecordingReporter, node_context

__all__ = ["policy"]


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


@pytest.fixture
def folders(tmp_path: Path, policy: Policy, reporter: RecordingReporter) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy, reporter=reporter) as made:
        tiny_file(made.models_root / "geometry_estimation", "second")
        yield made


@pytest.mark.usefixtures("folders")
def test_a_picture_becomes_renders_angles_and_a_surface(reporter: RecordingReporter) -> None:
    (model,) = LoadMoGeModel().run("second.safetensors")
    image = picture(2, 60, 88).movedim(1, -1)
    (geometry,) = MoGeInference().run(model, image, 9, 40.0, 1, True, False, 3)
    assert [(done, total) for _, done, total in reporter.reports] == [(1, 2), (2, 2)]
    for output in ("depth", "depth_colored", "normal_opengl", "normal_directx", "mask"):
        (drawn,) = MoGeRender().run(geometry, output)
        assert drawn.shape == (2, 60, 88, 3)
        assert (drawn >= 0).all()
        assert (drawn <= 1).all()
    fov, _ = MoGeGeometryToFOV().run(geometry, "horizontal", "degrees")
    assert fov == pytest.approx(40.0, abs=1e-3)
    (mesh,) = MoGePointMapToMesh().run(geometry, 1, 2, 1.0, True)
    (surface,) = surfaces_of(mesh)
    assert surface.texture is not None
    assert (surface.texture == image[1]).all()


@pytest.mark.usefixtures("folders")
def test_a_panorama_becomes_a_surface_all_around(reporter: RecordingReporter) -> None:
    (model,) = LoadMoGeModel().run("second.safetensors")
    image = picture(1, 32, 64).movedim(1, -1)
    (geometry,) = MoGePanoramaInference().run(model, image, 0, 256, 256, 12, 3)
    assert "intrinsics" not in geometry
    known = geometry["mask"]
    assert known.any()
    looks = torch.nn.functional.normalize(geometry["points"][known], dim=-1)
    torch.testing.assert_close(
        looks * geometry["depth"][known][:, None], geometry["points"][known], atol=1e-4, rtol=1e-4
    )
    (mesh,) = MoGePointMapToMesh().run(geometry, 0, 1, 1.0, True)
    assert len(surfaces_of(mesh)[0].faces) > 0
    assert reporter.reports[-1][1:] == (13, 13)


@pytest.mark.usefixtures("folders")
def test_work_ends_when_it_is_interrupted(reporter: RecordingReporter) -> None:
    from nodes.context import Interrupted

    (model,) = LoadMoGeModel().run("second.safetensors")
    reporter.interrupted = True
    with pytest.raises(Interrupted):
        MoGeInference().run(model, picture(2, 28, 28).movedim(1, -1), 0, 0.0, 1, True, True, 3)
