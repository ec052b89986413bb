"""Whole workflows of Depth Anything 3: pictures to depth, cameras and renders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from executor.folders import Folders
from models.memory import Policy
from nodes.depth_anything import DA3Inference, LoadDA3Model
from nodes.depth_maps import DA3Render
from tests.models.conftest import policy
from tests.models.geometry.seeded import picture
from tests.models.geometry.test_depth_anything import tiny_file
from tests.nodes.context import node_context

__all__ = ["policy"]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        for kind in ("mono", "many"):
            tiny_file(made.models_root / "geometry_estimation", kind)
        yield made


def _geometry(file: str, **flat: Any) -> Any:
    (model,) = LoadDA3Model().run(f"{file}.safetensors")
    image = picture(3, 70, 98).movedim(1, -1)
    inputs = {"resolution": 140, "resize_method": "upper_bound_resize", **flat}
    return DA3Inference().run_flat(da3_model=model, image=image, **inputs)[0]


@pytest.mark.parametrize("output", ["depth", "depth_colored"])
@pytest.mark.parametrize("normalization", ["v2_style", "min_max"])
def test_depth_is_seen_and_drawn(output: str, normalization: str) -> None:
    geometry = _geometry("mono", mode="mono")
    (drawn,) = DA3Render().run_flat(
        da3_geometry=geometry,
        output=output,
        **{"output.normalization": normalization, "output.apply_sky_clip": True},
    )
    assert drawn.shape == (3, 70, 98, 3)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert drawn.std() > 0.05


@pytest.mark.parametrize("method", ["cam_dec", "ray_pose"])
def test_views_of_a_scene_come_with_cameras(method: str) -> None:
    options = {"mode.ref_view_strategy": "saddle_balanced", "mode.pose_method": method}
    geometry = _geometry("many", mode="multiview", **options)
    assert geometry["extrinsics"].shape == (3, 3, 4)
    assert geometry["intrinsics"].shape == (3, 3, 3)
    (drawn,) = DA3Render().run_flat(
        da3_geometry=geometry, output="confidence", **{"output.colored": False}
    )
    assert drawn.amax() == 1


def test_a_loader_takes_prompts_without_a_type() -> None:
    (model,) = LoadDA3Model().run("mono.safetensors")
    (half,) = LoadDA3Model().run("mono.safetensors", "bf16")
    assert model.network.dtype == torch.float32
    assert half.network.dtype == torch.bfloat16
