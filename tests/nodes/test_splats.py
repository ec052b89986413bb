"""Pictures of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from nodes.cameras import CreateCameraInfo
from nodes.gaussians import Splat, gaussians_of
from nodes.splats import RenderSplat
from nodes.tensors import splat_rendering
from nodes.tensors.spherical_harmonics import colors_from
from tests.models.conftest import policy
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.gaussian_scenes import camera, cloud, drawn_one_by_one, scene

__all__ = ["policy"]

WIDTH, HEIGHT = 96, 64  # the focal length of `camera` is 128 pixels
RED, GREEN, BLUE = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


@pytest.fixture(autouse=True)
def context(tmp_path: Path, policy: Policy, reporter: RecordingReporter) -> Iterator[None]:
    with node_context(tmp_path, policy=policy, reporter=reporter):
        yield


def render(splat: Splat, **options: Any) -> tuple[Tensor, Tensor]:
    inputs: dict[str, Any] = {
        "width": WIDTH, "height": HEIGHT, "frames": 1, "splat_scale": 1.0, "sharpen": 1.0,
        "headlight_shading": 0.0, "opacity_threshold": 0.0, "render_style": "color",
        "background": "#000000", "camera_info": camera(),
    }  # fmt: skip
    return RenderSplat().run(splat, **(inputs | options))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_gaussian_on_the_axis_is_the_ellipse_that_its_size_says(power: float) -> None:
    splat = scene([[0.0, 0.0, 0.0]], scale=[[0.2, 0.05, 0.3]], opacity=0.9)
    _, mask = render(splat, sharpen=power)
    # 128 pixels of focal length at a distance of 4; 0.3 is the filter's.
    x = torch.arange(WIDTH) + 0.5 - WIDTH / 2
    y = torch.arange(HEIGHT) + 0.5 - HEIGHT / 2
    distance = x**2 / ((0.2 * 32) ** 2 + 0.3) + y[:, None] ** 2 / ((0.05 * 32) ** 2 + 0.3)
    wanted = 0.9 * torch.exp(-0.5 * distance**power)
    wanted = torch.where(wanted < 1 / 255, 0, wanted)
    torch.testing.assert_close(mask[0], wanted, atol=1e-4, rtol=1e-3)


def test_a_turned_gaussian_is_a_turned_ellipse() -> None:
    eighth = [math.cos(math.pi / 8), 0.0, 0.0, math.sin(math.pi / 8)]  # 45 degrees about z
    splat = scene([[0.0, 0.0, 0.0]], scale=[[0.3, 0.02, 0.02]], rotations=[eighth])
    _, mask = render(splat)
    up_right = mask[0, HEIGHT // 2 - 6, WIDTH // 2 + 5]  # rows go down, and y goes up
    up_left = mask[0, HEIGHT // 2 - 6, WIDTH // 2 - 6]
    assert up_right > 0.4
    assert up_left < 0.01


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize(("count", "scale"), [(60, 1.0), (300, 0.2)])
def test_clouds_are_drawn_as_one_by_one(power: float, count: int, scale: float) -> None:
    splat = cloud(count)
    image, mask = render(splat, sharpen=power, splat_scale=scale)
    gaussians = gaussians_of(splat)
    gaussians = gaussians_of(
        Splat(
            positions=gaussians.positions,
            scales=gaussians.scales * scale,
            rotations=gaussians.rotations,
            opacities=gaussians.opacities,
            harmonics=gaussians.harmonics,
        )
    )
    place = torch.tensor([0.0, 0.0, 4.0])
    wanted, opaque = drawn_one_by_one(gaussians, place, 128.0, WIDTH, HEIGHT, power)
    torch.testing.assert_close(mask[0], opaque, atol=2e-3, rtol=0)
    torch.testing.assert_close(image[0], wanted, atol=2e-3, rtol=0)


def test_bands_and_groups_of_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render(cloud(200))
    monkeypatch.setattr(splat_rendering, "_MOST_PAIRS", 50)
    monkeypatch.setattr(splat_rendering, "_NUMBERS", {"cpu": 1})
    parts = render(cloud(200))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("in_front", [0, 1])
def test_what_is_nearer_covers_what_is_farther(in_front: int) -> None:
    depth = [0.5, -0.5] if in_front == 0 else [-0.5, 0.5]
    places = [[0.0, 0.0, z] for z in depth]
    image, mask = render(scene(places, opacity=0.7, colors=[RED, BLUE], scale=0.5))
    middle = image[0, HEIGHT // 2, WIDTH // 2]
    first, second = (0, 2) if in_front == 0 else (2, 0)
    assert middle[first] == pytest.approx(0.7, abs=0.01)
    assert middle[second] == pytest.approx(0.3 * 0.7, abs=0.01)
    assert mask[0, HEIGHT // 2, WIDTH // 2] == pytest.approx(1 - 0.3**2, abs=0.01)


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    _, mask = render(scene([[0.0, 0.0, 9.0], [0.0, 0.0, 4.0]]))
    assert mask.max() == 0


def test_faint_gaussians_may_be_left_out() -> None:
    splat = scene([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]], opacity=[0.3, 0.8])
    _, mask = render(splat, opacity_threshold=0.5)
    assert mask[0, :, : WIDTH // 2].max() < 0.01
    assert mask.max() > 0.7
    with pytest.raises(InvalidInput, match=r"no Gaussian has an opacity of 0\.9"):
        render(splat, opacity_threshold=0.9)


def test_the_background_shows_through() -> None:
    splat = scene([[0.0, 0.0, 0.0]], opacity=0.6, colors=[RED], scale=0.4)
    image, mask = render(splat, background="#0000ff")
    torch.testing.assert_close(image[0, ..., 2], 1 - mask[0])
    torch.testing.assert_close(image[0, ..., 0], mask[0])
    picture = torch.zeros(2, 20, 30, 3)
    picture[1, ..., 1] = 1
    image, mask = render(splat, bg_image=picture, frames=3)
    assert image[0, 0, 0].tolist() == [0, 0, 0]
    torch.testing.assert_close(image[1, ..., 1], 1 - mask[1])
    assert image[2, 0, 0].tolist() == [0, 0, 0]
    with pytest.raises(InvalidInput, match="a colour is written as"):
        render(splat, background="blue")


def _column(mask: Tensor) -> float:
    """The mean column of what is seen, from the middle."""
    x = torch.arange(WIDTH) + 0.5 - WIDTH / 2
    return float((mask.sum(dim=0) * x).sum() / mask.sum())


@pytest.mark.parametrize("way", [1, -1])
def test_several_frames_go_round_once(way: int, reporter: RecordingReporter) -> None:
    # The camera goes to the right: what is on the left comes to the front, then to the right.
    splat = scene([[0.8, 0.0, 0.0]], scale=0.05)
    image, mask = render(splat, frames=4 * way)
    assert image.shape == (4, HEIGHT, WIDTH, 3)
    columns = [_column(m) for m in mask]
    near, far = 128 * 0.8 / 4, 0.0
    wanted = [near, far, -near, far]
    assert columns == pytest.approx(wanted, abs=0.5)
    sizes = [float(m.sum()) for m in mask]
    first, last = (sizes[1], sizes[3]) if way == 1 else (sizes[3], sizes[1])
    assert first > last  # nearer, then farther
    assert [(done, total) for _, done, total in reporter.reports] == [(i, 4) for i in (1, 2, 3, 4)]


def test_no_frames_are_one() -> None:
    assert render(scene([[0.0, 0.0, 0.0]]), frames=0)[0].shape[0] == 1


def test_cameras_of_nodes_look_from_where_they_are() -> None:
    splat = scene([[0.0, 0.7, 0.0], [0.7, 0.0, 0.0]], colors=[RED, GREEN], scale=0.05)
    orbit = {"mode": "orbit", "yaw": 90.0, "pitch": 0.0, "distance": 4.0}
    (info,) = CreateCameraInfo().run(orbit)
    image, _ = render(splat, camera_info=info)
    red, green = (image[0, ..., c].argmax().item() for c in (0, 1))
    assert red // WIDTH < HEIGHT // 2  # up is up
    assert abs(red % WIDTH - WIDTH // 2) <= 1
    assert abs(green % WIDTH - WIDTH // 2) <= 1  # it comes towards the camera
    (turned,) = CreateCameraInfo().run(orbit | {"yaw": 0.0}, roll=90.0)
    image, _ = render(splat, camera_info=turned)
    red = int(image[0, ..., 0].argmax())
    assert red % WIDTH > WIDTH // 2 + 5  # the camera turned to the left, the scene to the right
    quaternion = {
        "mode": "quaternion", "position_x": 4.0, "position_y": 0.0, "position_z": 0.0,
        "quat_x": 0.0, "quat_y": math.sqrt(0.5), "quat_z": 0.0, "quat_w": math.sqrt(0.5),
    }  # fmt: skip
    (info,) = CreateCameraInfo().run(quaternion)
    (orbiting,) = CreateCameraInfo().run(orbit)
    for one, other in zip(
        render(splat, camera_info=info), render(splat, camera_info=orbiting), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=0)


def test_zoom_and_orthographic_cameras() -> None:
    splat = scene([[0.5, 0.0, 0.0], [0.5, 0.0, -2.0]], scale=0.03, colors=[RED, BLUE])
    image, _ = render(splat, camera_info=camera(zoom=1.5))
    assert int(image[0, ..., 0].argmax()) % WIDTH - WIDTH / 2 == pytest.approx(24, abs=1)
    flat, _ = render(splat, camera_info=camera(cameraType="orthographic"))
    red = int(flat[0, ..., 0].argmax()) % WIDTH
    assert red - WIDTH / 2 == pytest.approx(16, abs=1)
    behind, _ = render(
        scene([[0.5, 0.0, -2.0]], scale=0.03), camera_info=camera(cameraType="orthographic")
    )
    assert int(behind[0, ..., 0].argmax()) % WIDTH == red


def test_without_a_camera_all_is_seen() -> None:
    splat = cloud(500)
    splat.positions = splat.positions * 30 + 100
    splat.scales = splat.scales * 3
    _, mask = render(splat, camera_info=None)
    assert mask[0, HEIGHT // 2 - 5 : HEIGHT // 2 + 5, WIDTH // 2 - 5 : WIDTH // 2 + 5].mean() > 0.3
    assert mask[0, 0].mean() < 0.2
    assert mask[0, :, 0].mean() < 0.2


FLAT = [[0.3, 0.3, 0.001]]  # a disc that faces +z
TILTED = [[math.cos(math.radians(30)), 0.0, math.sin(math.radians(30)), 0.0]]  # by 60 degrees


def test_normals_are_drawn_towards_the_viewer() -> None:
    image, mask = render(scene([[0.0, 0.0, 0.0]], scale=FLAT, opacity=0.9), render_style="normal")
    middle = (0, HEIGHT // 2, WIDTH // 2)
    torch.testing.assert_close(
        image[middle] / mask[middle], torch.tensor([0.5, 0.5, 1.0]), atol=1e-3, rtol=0
    )
    tilted = scene([[0.0, 0.0, 0.0]], scale=FLAT, opacity=0.9, rotations=TILTED)
    image, mask = render(tilted, render_style="normal")
    wanted = torch.tensor([math.sin(math.radians(60)), 0.0, 0.5]) / 2 + 0.5
    torch.testing.assert_close(image[middle] / mask[middle], wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0])
def test_a_headlight_shades_by_the_angle(strength: float) -> None:
    tilted = scene([[0.0, 0.0, 0.0]], scale=FLAT, opacity=0.9, rotations=TILTED)
    image, mask = render(tilted, headlight_shading=strength)
    middle = (0, HEIGHT // 2, WIDTH // 2)
    assert float(image[middle][0] / mask[middle]) == pytest.approx(0.5**strength, abs=1e-3)
    clay, mask = render(tilted, headlight_shading=strength, render_style="clay")
    grey = 0.75 * 0.5 ** (strength or 1)
    assert float(clay[middle][1] / mask[middle]) == pytest.approx(grey, abs=1e-3)


def test_depth_is_bright_where_it_is_near() -> None:
    places = [[-0.8, 0.0, 1.0], [0.0, 0.0, 0.0], [0.8, 0.0, -1.0]]
    image, mask = render(scene(places, scale=0.1, opacity=0.95), render_style="depth")
    row = image[0, HEIGHT // 2, :, 0] / mask[0, HEIGHT // 2].clamp(min=1e-6)
    at = [round(WIDTH / 2 + 128 * x / (4 - z)) for x, _, z in places]
    values = [float(row[column]) for column in at]
    assert values == pytest.approx([1.0, 0.5, 0.0], abs=0.02)


def test_nothing_in_view_is_drawn_in_every_style() -> None:
    for style in ("color", "clay", "depth", "normal"):
        image, mask = render(scene([[0.0, 0.0, 9.0]]), render_style=style, background="#ff0000")
        assert mask.max() == 0
        assert image[0, 0, 0].tolist() == [1, 0, 0]


def test_colors_depend_on_the_direction() -> None:
    harmonics = torch.zeros(1, 4, 3)
    harmonics[0, 3, 0] = 1  # less red along x
    splat = scene([[0.0, 0.0, 0.0]], scale=0.3, opacity=0.95, colors=[[0.5, 0.5, 0.5]])
    splat.harmonics[:, 0] = 0
    splat.harmonics = torch.cat((splat.harmonics, harmonics[:, 1:]), dim=1)
    reds = []
    for yaw in (90.0, -90.0):
        (info,) = CreateCameraInfo().run(
            {"mode": "orbit", "yaw": yaw, "pitch": 0.0, "distance": 4.0}
        )
        image, mask = render(splat, camera_info=info)
        reds.append(float(image[0, HEIGHT // 2, WIDTH // 2, 0] / mask[0, HEIGHT // 2, WIDTH // 2]))
    # From +x one looks along -x: -0.4886 times -1, and 0.5.
    assert reds == pytest.approx([0.9886, 0.0114], abs=0.01)


def test_spherical_harmonics_are_orthonormal() -> None:
    drawn = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0))
    looks = torch.nn.functional.normalize(drawn, dim=-1)
    basis = [
        colors_from(
            torch.eye(16)[k][None, :, None].expand(1, 16, 3).expand(len(looks), -1, -1), looks
        )[:, 0]
        - 0.5
        for k in range(16)
    ]
    values = torch.stack(basis)
    product = values @ values.T / len(looks) * 4 * math.pi
    torch.testing.assert_close(product, torch.eye(16), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scales": torch.ones(2, 2)}, "scales of 2 Gaussians"),
        ({"rotations": torch.ones(3, 4)}, "rotations of 2 Gaussians"),
        ({"harmonics": torch.ones(2, 5, 3)}, "harmonics of 2 Gaussians"),
        ({"opacities": None}, "have no opacities"),
        ({"positions": torch.full((2, 3), torch.nan)}, "there are no Gaussians"),
    ],
)
def test_parts_that_do_not_fit_together_are_errors(change: dict[str, Any], said: str) -> None:
    splat = cloud(2)
    splat.__dict__.update(change)
    with pytest.raises(InvalidInput, match=said):
        gaussians_of(splat)


def test_what_is_not_finite_is_left_out() -> None:
    splat = cloud(5)
    splat.positions[2, 1] = torch.inf
    splat.opacities = splat.opacities[:, None]
    assert len(gaussians_of(splat).positions) == 4


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"position": {"x": 0, "y": 0}, "target": {"x": 0, "y": 0, "z": 0}},
        camera(fov=0),
        camera(zoom=0),
        camera(quaternion={"x": 0, "y": 0, "z": 0, "w": 0}),
    ],
)
def test_what_is_no_camera_is_an_error(info: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="camera"):
        render(cloud(3), camera_info=info)
