"""How cameras move, and what models are told of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from nodes.tensors.camera_paths import camera_path, rays
from nodes.video_conditioning.wan_camera import WanCameraEmbedding, WanCameraImageToVideo

WIDTH, HEIGHT, LENGTH = 32, 16, 9
MIDDLE = ((0.5, 0.5), (0.5, 0.5))


def _seen(camera: Tensor, point: Tensor) -> Tensor:
    """Where a camera [4, 4] sees a point of the world: to the right, and down, of its centre."""
    x, y, z = (camera.inverse() @ torch.cat([point, torch.ones(1)]))[:3]
    return torch.stack([x / z, y / z])


@pytest.mark.parametrize(
    ("motion", "axis", "sign"),
    [("Pan Up", 1, 1), ("Pan Down", 1, -1), ("Pan Left", 0, 1), ("Pan Right", 0, -1)],
)
def test_things_go_the_other_way_than_the_camera(motion: str, axis: int, sign: int) -> None:
    moved = _seen(camera_path(motion, LENGTH, 1.0)[-1], torch.tensor([0.0, 0.0, 5.0]))
    assert moved[axis] * sign > 0.1
    assert moved[1 - axis] == 0


@pytest.mark.parametrize(("motion", "grows"), [("Zoom In", True), ("Zoom Out", False)])
def test_things_grow_where_the_camera_comes_near(motion: str, grows: bool) -> None:
    path = camera_path(motion, LENGTH, 1.0)
    before, after = (_seen(path[i], torch.tensor([1.0, 0.0, 5.0]))[0] for i in (0, -1))
    assert bool(after > before) is grows


@pytest.mark.parametrize(("motion", "sign"), [("ClockWise (CW)", -1), ("Anti Clockwise (ACW)", 1)])
def test_things_turn_the_other_way_than_the_camera(motion: str, sign: int) -> None:
    right_of_centre = torch.tensor([1.0, 0.0, 5.0])
    turned = _seen(camera_path(motion, LENGTH, 1.0)[-1], right_of_centre)
    assert turned[1] * sign > 0.05  # down is clockwise


def test_a_path_begins_at_rest_and_is_as_long_as_the_speed_says() -> None:
    slow, fast = (camera_path("Zoom In", LENGTH, speed) for speed in (1.0, 2.0))
    assert torch.equal(slow[0], torch.eye(4))
    assert torch.allclose(fast[-1, :3, 3], 2 * slow[-1, :3, 3])
    assert torch.equal(camera_path("Static", LENGTH, 5.0), torch.eye(4).repeat(LENGTH, 1, 1))


def test_rays_go_through_their_pixels() -> None:
    cameras = camera_path("Pan Right", 2, 1.0)
    packed = rays(cameras, 4, 2, *MIDDLE)
    moments, directions = packed[:3], packed[3:]
    assert torch.allclose(directions.norm(dim=0), torch.ones(2, 2, 4))
    assert directions[0, 0, 0].tolist() == sorted(directions[0, 0, 0].tolist())
    assert not moments[:, 0].any()  # from the origin
    origin = cameras[1, :3, 3]
    expected = torch.linalg.cross(origin, directions[:, 1, 1, 2])
    assert torch.allclose(moments[:, 1, 1, 2], expected)


def test_the_rays_of_four_frames_are_channels_of_one() -> None:
    told, *size = WanCameraEmbedding().run("Pan Up", WIDTH, HEIGHT, LENGTH)
    assert told.shape == (1, 24, 3, HEIGHT, WIDTH)
    assert size == [WIDTH, HEIGHT, LENGTH]
    whole = rays(camera_path("Pan Up", LENGTH, 1.0), WIDTH, HEIGHT, *MIDDLE)
    by_frame = told[0].unflatten(0, (6, 4))  # type: ignore[no-untyped-call]
    assert torch.equal(by_frame[:, :, 0], whole[:, :1].expand(-1, 4, -1, -1))
    assert torch.equal(by_frame[:, 2, 2], whole[:, 7])


def test_a_camera_needs_a_focal_length() -> None:
    with pytest.raises(InvalidInput, match="focal length"):
        WanCameraEmbedding().run("Static", WIDTH, HEIGHT, LENGTH, fx=0.0)


def test_a_model_is_told_how_the_camera_moves_in_its_film() -> None:
    prompt: Conditioning = [[torch.zeros(1, 4, 8), {}]]
    told = WanCameraEmbedding().run("Zoom In", WIDTH, HEIGHT, LENGTH)[0]
    node = WanCameraImageToVideo()
    positive, negative, latent = node.run(
        prompt, prompt, None, WIDTH, HEIGHT, LENGTH, 1, camera_conditions=told
    )
    for [[_, options]] in (positive, negative):
        assert options["camera_conditions"] is told
    assert latent["samples"].shape == (1, 16, 3, HEIGHT // 8, WIDTH // 8)
    with pytest.raises(InvalidInput, match="another size or length"):
        node.run(prompt, prompt, None, WIDTH, HEIGHT, 13, 1, camera_conditions=told)
