"""MoGe's networks, against what its authors' code says with the same weights.

`tests/reference/moge` was recorded with dlr-moge 2.0.0, the authors' code (MIT).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
from models.geometry.moge import Prediction
from models.geometry.moge_files import first_shape, second_shape
from models.geometry.moge_inference import MogeHandle, in_camera, load_moge, point_maps
from models.memory import Policy
from models.weights import Weights
from tests.models.conftest import policy
from tests.models.geometry.seeded import picture, weights
from tests.nodes.point_map_scenes import plane

__all__ = ["policy"]

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "moge"
OUTPUTS = load_file(REFERENCE / "outputs.safetensors")
SHAPES = json.loads((REFERENCE / "shapes.json").read_text())
STATED: dict[str, dict[str, Any]] = {
    "first": {"intermediate_layers": 2, "num_tokens_range": [20, 40]},
    "second": {"num_tokens_range": [20, 40]},
}
TOKENS = 30
LEVEL = 4.5  # of 9, which is half way from 20 to 40 patches


def tiny_file(folder: Path, version: str, **stated: Any) -> Path:
    """A file of a tiny network."""
    path = folder / f"{version}.safetensors"
    metadata = {"darkroom.config": json.dumps({"geometry": STATED[version] | stated})}
    save_file(weights(SHAPES[version]), path, metadata=metadata)
    return path


@pytest.fixture(params=["first", "second"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def handle(tmp_path: Path, version: str, policy: Policy) -> MogeHandle:
    return load_moge(tiny_file(tmp_path, version), policy)


def _part(maps: Tensor) -> Tensor:
    """What of a map was recorded."""
    return maps[:, ::5, ::7]


def test_the_network_says_what_the_authors_code_says(handle: MogeHandle, version: str) -> None:
    with handle.policy.using(handle.network, handle.policy.device) as model:
        said = model(picture(2, 60, 88), TOKENS)
    names = {"points": said.points, "mask": said.mask, "normal": said.normal}
    for name, value in names.items():
        expected = OUTPUTS.get(f"{version}.forward.{name}")
        assert (value is None) == (expected is None)
        if value is not None:
            torch.testing.assert_close(_part(value), expected, atol=2e-4, rtol=1e-3)
    if version == "second":
        torch.testing.assert_close(said.scale, OUTPUTS["second.forward.metric_scale"])


@pytest.mark.parametrize(("case", "fov"), [("free", 0.0), ("fixed", 50.0)])
def test_points_lie_before_the_camera_that_the_authors_code_finds(
    handle: MogeHandle, version: str, case: str, fov: float
) -> None:
    said = handle.predict(picture(2, 60, 88), LEVEL)
    maps = in_camera(said, fov, is_projected=True)
    expected = {
        name: OUTPUTS[f"{version}.{case}.{name}"] for name in ("points", "depth", "intrinsics")
    }
    torch.testing.assert_close(maps["intrinsics"], expected["intrinsics"], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(_part(maps["depth"]), expected["depth"], atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(_part(maps["points"]), expected["points"], atol=5e-3, rtol=5e-3)


def test_pictures_are_seen_in_batches_and_reported(handle: MogeHandle) -> None:
    image = picture(3, 60, 88).movedim(1, -1)
    reports: list[tuple[int, int]] = []
    whole = point_maps(handle, image, level=0, batch=3)
    parts = point_maps(
        handle, image, level=0, batch=2, progress=lambda done, total: reports.append((done, total))
    )
    assert reports == [(2, 3), (3, 3)]
    torch.testing.assert_close(parts["intrinsics"], whole["intrinsics"], atol=1e-4, rtol=1e-3)
    assert parts["points"].shape == (3, 60, 88, 3)
    assert (parts["image"] == image).all()


def test_what_is_not_known_is_infinitely_far_away(handle: MogeHandle) -> None:
    image = picture(1, 60, 88).movedim(1, -1)
    maps = point_maps(handle, image, level=3)
    kept = point_maps(handle, image, level=3, is_masked=False)
    known = maps["mask"]
    assert (known == kept["mask"]).all()
    assert not known.all()
    assert maps["depth"][~known].isinf().all()
    assert kept["depth"].isfinite().all()
    torch.testing.assert_close(maps["points"][known], kept["points"][known])
    if "normal" in maps:
        assert (maps["normal"][~known] == 0).all()


def test_points_that_are_not_projected_keep_their_places_in_the_plane(handle: MogeHandle) -> None:
    said = handle.predict(picture(1, 60, 88), 2)
    maps = in_camera(said, 60.0, is_projected=False)
    scale = 1 if said.scale is None else said.scale[:, None, None, None]
    torch.testing.assert_close(maps["points"][..., :2], said.points[..., :2] * scale)
    torch.testing.assert_close(maps["points"][..., 2], maps["depth"])


@pytest.mark.parametrize("fov", [30.0, 75.0])
def test_the_camera_of_a_scene_is_found_exactly(fov: float) -> None:
    geometry = plane(64, 48, fov, (0.4, 0.5, -1.0))
    offset = torch.tensor([0.0, 0.0, 0.7])
    said = Prediction(geometry["points"] - offset, None)
    for given in (0.0, fov):
        maps = in_camera(said, given, is_projected=True)
        torch.testing.assert_close(maps["intrinsics"], geometry["intrinsics"], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(maps["points"], geometry["points"], atol=2e-2, rtol=1e-2)


def test_a_scene_of_which_nothing_is_known_has_some_camera() -> None:
    geometry = plane(16, 12, 40.0, (0.0, 0.0, -1.0))
    said = Prediction(geometry["points"], torch.zeros(1, 12, 16))
    maps = in_camera(said, 0.0, is_projected=True)
    assert not maps["mask"].any()
    assert maps["points"].isfinite().all()


def test_points_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(InvalidInput, match="no numbers"):
        in_camera(Prediction(torch.full((1, 8, 8, 3), torch.nan), None), 0.0, is_projected=True)


def test_the_authors_files_say_what_their_networks_are(tmp_path: Path, policy: Policy) -> None:
    path = tmp_path / "model.pt"
    config = {"encoder": {"intermediate_layers": [0, 1, 2, 3]}, **STATED["second"]}
    torch.save({"model_config": config, "model": weights(SHAPES["second"])}, path)
    image = picture(1, 60, 88).movedim(1, -1)
    other = load_moge(tiny_file(tmp_path, "second"), policy)
    mine = point_maps(load_moge(path, policy), image, level=9)
    torch.testing.assert_close(mine["points"], point_maps(other, image, level=9)["points"])


def test_what_no_file_says_is_as_published(tmp_path: Path) -> None:
    first = first_shape(Weights(path=tmp_path, tensors=weights(SHAPES["first"])), {})
    second = second_shape(Weights(path=tmp_path, tensors=weights(SHAPES["second"])), {})
    assert (first.remap, first.tokens, list(first.taken)) == ("exp", (1200, 2500), [2, 3])
    assert (second.remap, second.tokens, list(second.taken)) == ("exp", (1200, 3600), [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"intermediate_layers": [0, 9]}, "blocks cannot be"),
        ({"intermediate_layers": 3}, "blocks cannot be"),
        ({"res_block_norm": "instance_norm"}, "is not supported"),
        ({"remap_output": "cubic"}, "cannot be remapped"),
        ({"num_tokens_range": [0, 5]}, "numbers of patches"),
        ({"num_tokens_range": 5}, "numbers of patches"),
    ],
)
def test_configurations_that_cannot_be_are_refused(
    tmp_path: Path, policy: Policy, stated: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnsupportedLayout, match=said):
        load_moge(tiny_file(tmp_path, "first", **stated), policy)


def test_files_that_are_no_moge_or_not_whole_are_refused(tmp_path: Path, policy: Policy) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"refiner.weight": torch.ones(3)}, other)
    with pytest.raises(UnknownModelFamily, match=r"refiner\.weight.*MoGe, MoGe-2"):
        load_moge(other, policy)
    cut = weights(SHAPES["second"])
    del cut["points_head.output_blocks.4.weight"]
    save_file(cut, other)
    with pytest.raises(CheckpointUnreadable):
        load_moge(other, policy)
    no_square = weights(SHAPES["second"]) | {"encoder.backbone.pos_embed": torch.ones(1, 12, 128)}
    save_file(no_square, other)
    with pytest.raises(UnsupportedLayout, match="no square"):
        load_moge(other, policy)
