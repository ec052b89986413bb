"""Pictures of depth, sky and confidence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.errors import InvalidInput
from models.geometry.shapes import DepthMaps
from nodes.depth_maps import DA3Render
from nodes.tensors.color_maps import turbo


def _ramp() -> DepthMaps:
    depth = torch.linspace(1, 5, 40).reshape(1, 4, 10)
    sky = torch.zeros(1, 4, 10)
    sky[:, :2] = 0.9
    return {"depth": depth, "sky": sky, "confidence": 1 + depth}


def _render(geometry: DepthMaps, output: str, **options: Any) -> torch.Tensor:
    return DA3Render().run(geometry, {"output": output, **options})[0]


def _depth(geometry: DepthMaps, normalization: str, **options: Any) -> torch.Tensor:
    options = {"apply_sky_clip": False, "output": "depth"} | options
    return DA3Render().run(geometry, {"normalization": normalization, **options})[0]


def test_raw_depth_is_what_the_network_said() -> None:
    geometry = _ramp()
    picture = _depth(geometry, "raw")
    assert (picture == geometry["depth"][..., None]).all()
    assert picture.shape == (1, 4, 10, 3)


def test_the_nearest_is_white_and_the_farthest_black() -> None:
    picture = _depth(_ramp(), "min_max")
    torch.testing.assert_close(
        picture[..., 0].flatten(), torch.linspace(1, 0, 40), atol=1e-6, rtol=0
    )


def test_the_style_of_version_2_has_the_mean_as_grey_and_two_deviations_as_ends() -> None:
    geometry = _ramp()
    del geometry["sky"]
    inverse = 1 / geometry["depth"]
    standard = (inverse - inverse.mean()) / inverse.std(correction=0)
    wanted = (0.5 + standard / 4).clamp(0, 1)
    torch.testing.assert_close(_depth(geometry, "v2_style")[..., 0], wanted)


def test_sky_does_not_count_for_mean_and_deviation() -> None:
    geometry = _ramp()
    farther: DepthMaps = {**geometry, "depth": geometry["depth"].clone()}
    farther["depth"][:, :2] = 1000.0
    near, far = _depth(geometry, "v2_style"), _depth(farther, "v2_style")
    torch.testing.assert_close(near[:, 2:], far[:, 2:])


def test_sky_is_put_behind_nearly_all_of_the_foreground() -> None:
    geometry = _ramp()
    picture = _depth(geometry, "raw", apply_sky_clip=True)[..., 0]
    foreground = geometry["depth"][:, 2:]
    torch.testing.assert_close(picture[:, 2:], foreground)
    wanted = torch.quantile(foreground, 0.99)
    torch.testing.assert_close(picture[:, :2], wanted.expand(1, 2, 10))


def test_flat_depth_is_drawn_too() -> None:
    flat: DepthMaps = {"depth": torch.full((1, 3, 3), 2.0)}
    assert (_depth(flat, "v2_style") == 0.5).all()
    assert (_depth(flat, "min_max") == 0.0).all()


def test_colors_are_those_of_turbo() -> None:
    geometry = _ramp()
    grey = _depth(geometry, "min_max")[..., 0]
    assert (_depth(geometry, "min_max", output="depth_colored") == turbo(grey)).all()


@pytest.mark.parametrize("colored", [True, False])
def test_sky_and_confidence_are_drawn(colored: bool) -> None:
    geometry = _ramp()
    sky = _render(geometry, "sky_mask", colored=colored)
    confidence = _render(geometry, "confidence", colored=colored)
    stretched = (geometry["confidence"] - 2) / 4
    if colored:
        torch.testing.assert_close(sky, turbo(geometry["sky"]))
        torch.testing.assert_close(confidence, turbo(stretched), atol=1e-5, rtol=0)
    else:
        torch.testing.assert_close(sky[..., 1], geometry["sky"])
        torch.testing.assert_close(confidence[..., 2], stretched)


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("sky_mask", {"colored": False}),
        ("confidence", {"colored": False}),
        ("depth", {"normalization": "raw", "apply_sky_clip": True}),
    ],
)
def test_a_map_that_the_network_does_not_give_is_an_error(
    output: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match=r"no map of (sky|confidence)"):
        _render({"depth": torch.ones(1, 2, 2)}, output, **options)
