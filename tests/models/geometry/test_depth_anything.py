"""Depth Anything 3, against what its authors' code says with the same weights.

`tests/reference/depth_anything_3` was recorded with depth-anything-3 0.1.1, the authors' code
(Apache-2.0).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.errors import (
    CheckpointUnreadable,
    InvalidInput,
    UnknownModelFamily,
    UnsupportedLayout,
)
from models.geometry.depth_anything_files import depth_shape
from models.geometry.depth_anything_inference import (
    DepthAnythingHandle,
    depth_maps,
    fitted,
    load_depth_anything,
    scene_maps,
)
from models.geometry.depth_head import Maps
from models.geometry.metric_depth import in_metres
from models.geometry.reference_views import Strategy
from models.memory import Policy
from models.weights import Weights
from tests.models.conftest import policy
from tests.models.geometry.seeded import picture, weights

__all__ = ["policy"]

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "depth_anything_3"
OUTPUTS = load_file(REFERENCE / "outputs.safetensors")
SHAPES = json.loads((REFERENCE / "shapes.json").read_text())
TAKEN = {"mono": [0, 1, 2, 3], "many": [2, 3, 4, 5]}


def tiny_file(folder: Path, kind: str, prefix: str = "model.") -> Path:
    """A file of a tiny network."""
    path = folder / f"{kind}.safetensors"
    tensors = {prefix + name: value for name, value in weights(SHAPES[kind]).items()}
    stated = json.dumps({"geometry": {"out_layers": TAKEN[kind]}})
    save_file(tensors, path, metadata={"darkroom.config": stated})
    return path


def nested_file(folder: Path, **missing: str) -> Path:
    """A file of both networks, one nested in the other, without what begins so."""
    path = folder / "nested.safetensors"
    parts = {"anyview": ("model.da3.", "many"), "metric": ("model.da3_metric.", "mono")}
    tensors = {
        prefix + name: value
        for prefix, kind in parts.values()
        for name, value in weights(SHAPES[kind]).items()
        if not name.startswith(missing.get(kind, "none"))
    }
    stated = json.dumps({part: {"out_layers": TAKEN[kind]} for part, (_, kind) in parts.items()})
    save_file(tensors, path, metadata={"darkroom.config": stated})
    return path


@pytest.fixture
def mono(tmp_path: Path, policy: Policy) -> DepthAnythingHandle:
    return load_depth_anything(tiny_file(tmp_path, "mono"), policy)


@pytest.fixture
def many(tmp_path: Path, policy: Policy) -> DepthAnythingHandle:
    return load_depth_anything(tiny_file(tmp_path, "many"), policy)


def _part(maps: Tensor | None) -> Tensor:
    """What of a map was recorded."""
    assert maps is not None
    return maps[:, ::5, ::7]


def _close(found: Tensor, name: str) -> None:
    torch.testing.assert_close(found, OUTPUTS[name], atol=1e-4, rtol=1e-4)


def test_one_picture_is_seen_as_by_the_authors_code(mono: DepthAnythingHandle) -> None:
    pixels = picture(4, 70, 98)
    for i in range(2):
        maps = mono.see(pixels[i : i + 1]).maps
        torch.testing.assert_close(_part(maps.depth), OUTPUTS["mono.depth"][i : i + 1])
        sky = OUTPUTS["mono.sky"][i : i + 1]
        torch.testing.assert_close(_part(maps.sky), sky, atol=1e-5, rtol=1e-4)
        assert maps.confidence is None


@pytest.mark.parametrize("strategy", ["saddle_balanced", "saddle_sim_range", "first", "middle"])
def test_views_are_seen_together_as_by_the_authors_code(
    many: DepthAnythingHandle, strategy: Strategy
) -> None:
    maps, _ = many.see(picture(4, 70, 98), strategy, with_rays=True)
    _close(_part(maps.depth), f"many.{strategy}.depth")
    _close(_part(maps.confidence), f"many.{strategy}.depth_conf")
    _close(_part(maps.rays), f"many.{strategy}.ray")
    _close(_part(maps.ray_confidence), f"many.{strategy}.ray_conf")


def test_two_views_have_the_first_as_reference(many: DepthAnythingHandle) -> None:
    maps, _ = many.see(picture(4, 70, 98)[:2], "middle")
    _close(_part(maps.depth), "two.depth")


def test_cameras_are_those_of_the_authors_code(many: DepthAnythingHandle) -> None:
    image = picture(4, 70, 98).movedim(1, -1)
    maps = scene_maps(
        many,
        image,
        resolution=98,
        bound="upper_bound_resize",
        strategy="saddle_balanced",
        method="cam_dec",
    )
    _close(maps["extrinsics"], "many.saddle_balanced.extrinsics")
    expected = OUTPUTS["many.saddle_balanced.intrinsics"]
    torch.testing.assert_close(maps["intrinsics"], expected, atol=1e-2, rtol=1e-3)


def test_cameras_of_rays_are_turned_and_of_finite_focal_length(
    many: DepthAnythingHandle,
) -> None:
    maps = scene_maps(
        many,
        picture(3, 70, 98).movedim(1, -1),
        resolution=98,
        bound="upper_bound_resize",
        strategy="first",
        method="ray_pose",
    )
    turned = maps["extrinsics"][..., :3]
    torch.testing.assert_close(turned @ turned.mT, torch.eye(3).expand(3, 3, 3), atol=1e-4, rtol=0)
    assert maps["intrinsics"].isfinite().all()


def test_maps_have_the_sides_of_the_pictures(mono: DepthAnythingHandle) -> None:
    reports: list[tuple[int, int]] = []
    image = picture(2, 50, 133).movedim(1, -1)
    maps = depth_maps(
        mono,
        image,
        resolution=140,
        bound="upper_bound_resize",
        progress=lambda done, total: reports.append((done, total)),
    )
    assert maps["depth"].shape == maps["sky"].shape == (2, 50, 133)
    assert "confidence" not in maps
    assert "extrinsics" not in maps
    assert reports == [(1, 2), (2, 2)]


def test_a_network_for_one_picture_sees_no_scene(mono: DepthAnythingHandle) -> None:
    with pytest.raises(InvalidInput, match="one picture at a time"):
        scene_maps(
            mono,
            picture(2, 70, 98).movedim(1, -1),
            resolution=98,
            bound="upper_bound_resize",
            strategy="first",
            method="ray_pose",
        )


def test_a_network_for_scenes_sees_one_picture_as_well(many: DepthAnythingHandle) -> None:
    image = picture(2, 70, 98).movedim(1, -1)
    maps = depth_maps(many, image, resolution=98, bound="upper_bound_resize")
    assert maps["confidence"].shape == (2, 70, 98)


@pytest.fixture
def nested(tmp_path: Path, policy: Policy) -> DepthAnythingHandle:
    return load_depth_anything(nested_file(tmp_path), policy)


def test_nested_networks_say_metres_as_the_authors_code_does(nested: DepthAnythingHandle) -> None:
    maps = scene_maps(
        nested,
        picture(4, 70, 98).movedim(1, -1),
        resolution=98,
        bound="upper_bound_resize",
        strategy="saddle_balanced",
        method="cam_dec",
    )
    expected = {name: OUTPUTS[f"nested.{name}"] for name in ("depth", "extrinsics", "sky")}
    torch.testing.assert_close(_part(maps["depth"]), expected["depth"], atol=1, rtol=1e-3)
    torch.testing.assert_close(maps["extrinsics"], expected["extrinsics"], atol=1, rtol=1e-3)
    torch.testing.assert_close(_part(maps["sky"]), expected["sky"], atol=1e-4, rtol=1e-4)


def test_nested_networks_see_single_pictures_in_metres(
    nested: DepthAnythingHandle, many: DepthAnythingHandle
) -> None:
    image = picture(2, 70, 98).movedim(1, -1)
    metres = depth_maps(nested, image, resolution=98, bound="upper_bound_resize")
    relative = depth_maps(many, image, resolution=98, bound="upper_bound_resize")
    factors = (metres["depth"] / relative["depth"]).flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), rtol=1e-3, atol=0)
    assert metres["sky"].shape == (2, 70, 98)


def test_pictures_of_nothing_but_sky_have_no_scale(nested: DepthAnythingHandle) -> None:
    seen = nested.see(picture(2, 70, 98))
    sky = [Maps(torch.ones(1, 70, 98), sky=torch.ones(1, 70, 98)) for _ in range(2)]
    with pytest.raises(InvalidInput, match="nothing but sky"):
        in_metres(seen, sky, torch.zeros(2, 3, 4), torch.ones(2, 2))


def test_nested_networks_that_are_not_whole_are_refused(tmp_path: Path, policy: Policy) -> None:
    for missing in ({"many": "cam_dec."}, {"mono": "head.scratch.sky"}):
        with pytest.raises(UnsupportedLayout, match="nothing of cameras, or of the sky"):
            load_depth_anything(nested_file(tmp_path, **missing), policy)


@pytest.mark.parametrize(
    ("height", "width", "resolution", "longer", "wanted"),
    [
        (600, 800, 504, True, (378, 504)),
        (600, 800, 504, False, (504, 672)),
        (100, 100, 140, True, (140, 140)),
        (3, 900, 504, True, (14, 504)),
        (1000, 504, 504, False, (994, 504)),
    ],
)
def test_sides_are_multiples_of_patches(
    height: int, width: int, resolution: int, longer: bool, wanted: tuple[int, int]
) -> None:
    image = torch.rand(1, height, width, 4, generator=torch.Generator().manual_seed(0))
    found = fitted(image, resolution, "upper_bound_resize" if longer else "lower_bound_resize")
    assert found.shape == (1, 3, *wanted)
    assert 0 <= found.min() <= found.max() <= 1


def test_what_shrinks_is_averaged() -> None:
    image = torch.rand(1, 280, 420, 3, generator=torch.Generator().manual_seed(0))
    small = fitted(image, 210, "upper_bound_resize")
    wanted = torch.nn.functional.avg_pool2d(image.movedim(-1, 1), 2)
    torch.testing.assert_close(small, wanted)


def test_grey_pictures_are_seen_too() -> None:
    assert fitted(torch.rand(1, 28, 28, 1), 28, "upper_bound_resize").shape == (1, 3, 28, 28)


def test_a_type_may_be_asked_for(tmp_path: Path, policy: Policy) -> None:
    path = tiny_file(tmp_path, "mono", prefix="")
    half = load_depth_anything(path, policy, torch.bfloat16)
    assert half.network.dtype == torch.bfloat16
    depth = half.see(picture(4, 70, 98)[:1]).maps.depth
    assert depth.dtype == torch.float32
    torch.testing.assert_close(_part(depth), OUTPUTS["mono.depth"][:1], atol=0.1, rtol=0.05)


def test_which_blocks_are_seen_is_as_published(tmp_path: Path) -> None:
    tensors = weights(SHAPES["mono"])
    with pytest.raises(UnsupportedLayout, match="which of its 4 blocks"):
        depth_shape(Weights(path=tmp_path, tensors=tensors))
    more = {
        name.replace("blocks.3.", f"blocks.{i}."): value
        for i in range(4, 24)
        for name, value in tensors.items()
        if ".blocks.3." in name
    }
    assert list(depth_shape(Weights(path=tmp_path, tensors=tensors | more)).taken) == [
        4,
        11,
        17,
        23,
    ]


@pytest.mark.parametrize("taken", [[0, 1, 2, 9], [0, 1]])
def test_blocks_that_are_not_there_are_refused(
    tmp_path: Path, policy: Policy, taken: list[int]
) -> None:
    path = tmp_path / "wrong.safetensors"
    stated = json.dumps({"geometry": {"out_layers": taken}})
    save_file(weights(SHAPES["mono"]), path, metadata={"darkroom.config": stated})
    with pytest.raises(UnsupportedLayout):
        load_depth_anything(path, policy)


def test_files_that_are_something_else_are_refused(tmp_path: Path, policy: Policy) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"refiner.weight": torch.ones(3)}, path)
    with pytest.raises(UnknownModelFamily, match="Depth Anything 3"):
        load_depth_anything(path, policy)
    mixed = weights(SHAPES["many"])
    without = {k: v for k, v in mixed.items() if "q_norm" not in k}
    save_file(without, path)
    with pytest.raises(UnsupportedLayout, match="does not belong"):
        load_depth_anything(path, policy)
    cut = weights(SHAPES["mono"])
    del cut["head.scratch.output_conv1.weight"]
    stated = json.dumps({"geometry": {"out_layers": TAKEN["mono"]}})
    save_file(cut, path, metadata={"darkroom.config": stated})
    with pytest.raises(CheckpointUnreadable, match=r"output_conv1\.weight"):
        load_depth_anything(path, policy)
