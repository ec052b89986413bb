"""Cameras, curves, JSON prompts, times and boxes of later releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nodes.cameras import CameraAngle
from nodes.curves import CurveEditor
from nodes.custom_sampling.schedulers import Ideogram4Scheduler
from nodes.image_regions import ImageCropV2
from nodes.json_prompts import BuildJsonPromptIdeogram
from nodes.placeholders import (
    ChromaRadianceOptions,
    FluxKVCache,
    ModelAttentionBackend,
    QwenImage21Cache,
    WanAnimate2Cache,
)
from nodes.primitives import PrimitiveBoundingBox
from nodes.saved_conditioning import ConditioningLoader
from tests.nodes.context import node_context


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        ((0, 0, 5.0), "front view eye-level shot medium shot"),
        ((22, -15, 0.0), "front view eye-level shot wide shot"),
        ((23, -16, 2.0), "front-right quarter view low-angle shot medium shot"),
        ((90, 15, 6.0), "right side view elevated shot close-up"),
        ((180, 44, 1.9), "back view elevated shot wide shot"),
        ((270, 45, 10.0), "left side view high-angle shot close-up"),
        ((315, 0, 5.0), "front-left quarter view eye-level shot medium shot"),
        ((360, 0, 5.0), "front view eye-level shot medium shot"),
    ],
)
def test_a_camera_is_put_into_words(angles: tuple[int, int, float], words: str) -> None:
    assert CameraAngle().run(*angles)[1] == words


def test_a_camera_looks_at_the_origin_from_a_fixed_distance() -> None:
    camera, _ = CameraAngle().run(90, 30, 10.0)
    expected = {"x": 6 * 3**0.5 / 2, "y": 3.0, "z": 0.0}
    assert camera["position"] == pytest.approx(expected, abs=1e-9)
    assert camera["target"] == {"x": 0, "y": 0, "z": 0}
    assert (camera["zoom"], camera["fov"]) == (1.875, 35)


def json_prompt(style: dict[str, str], **changed: Any) -> Any:
    given: dict[str, Any] = {
        "high_level_description": "a cat",
        "background": "grass",
        "aesthetics": "plain",
        "lighting": "soft",
        "medium": "oil",
        "color_palette": ["#ff0000"],
    }
    (prompt,) = BuildJsonPromptIdeogram().run(
        element=[{"type": "obj"}], style=style, **(given | changed)
    )
    return prompt


@pytest.mark.parametrize(
    ("style", "keys"),
    [
        ("photo", ["aesthetics", "lighting", "photo", "medium", "color_palette"]),
        ("art_style", ["aesthetics", "lighting", "medium", "art_style", "color_palette"]),
    ],
)
def test_the_keys_of_a_json_prompt_come_in_their_order(style: str, keys: list[str]) -> None:
    prompt = json_prompt({"style": style, style: "grainy"})
    assert list(prompt) == [
        "high_level_description",
        "style_description",
        "compositional_deconstruction",
    ]
    assert list(prompt["style_description"]) == keys
    assert prompt["style_description"][style] == "grainy"
    assert prompt["compositional_deconstruction"] == {
        "background": "grass",
        "elements": [{"type": "obj"}],
    }


def test_a_json_prompt_leaves_out_what_is_not_said() -> None:
    bare = json_prompt({"style": "none"}, high_level_description=" ")
    assert list(bare) == ["compositional_deconstruction"]
    photo = json_prompt({"style": "photo", "photo": ""}, color_palette=[])
    assert "color_palette" not in photo["style_description"]


@pytest.mark.parametrize("given", [{"points": [[1, 1], [0, 0.5]]}, [[0, 0.5], [1, 1]]])
def test_a_curve_goes_through_its_points_in_order(given: Any) -> None:
    made = CurveEditor().run(given, histogram=[1, 2])
    expected = {"points": [[0.0, 0.5], [1.0, 1.0]], "interpolation": "monotone_cubic"}
    assert made == {"ui": {"histogram": [1, 2]}, "result": (expected,)}


@pytest.mark.parametrize(
    "given",
    [{"points": [[0, 0]]}, [[0, 1], [0, 2]], "line", {"points": None}, [[1, 2, 3], [1, 2, 3]]],
)
def test_what_is_no_curve_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="a curve goes through"):
        CurveEditor().run(given)


def test_a_curve_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="monotone_cubic or linear, not 'wavy'"):
        CurveEditor().run({"points": [[0, 0], [1, 1]], "interpolation": "wavy"})


@pytest.mark.parametrize(
    ("sides", "mu", "expected"),
    [
        ((1024, 1024), 0.0, [0.999877, 0.866863, 0.666667, 0.380551, 0]),
        ((512, 512), 0.5, [0.999877, 0.842952, 0.622459, 0.336182, 0]),
    ],
)
def test_the_times_of_ideogram_are_the_documented_ones(
    sides: tuple[int, int], mu: float, expected: list[float]
) -> None:
    (sigmas,) = Ideogram4Scheduler().run(4, *sides, mu, 1.75)
    assert sigmas.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_box_says_what_is_cropped(tmp_path: Path) -> None:
    (box,) = PrimitiveBoundingBox().run(1, 2, 3, 4)
    picture = torch.rand(1, 8, 8, 3)
    with node_context(tmp_path):
        [cropped] = ImageCropV2().run(picture, box)["result"]
    assert torch.equal(cropped, picture[:, 2:6, 1:4])


def test_what_only_changes_speed_passes_a_model_on() -> None:
    model = object()
    assert ModelAttentionBackend().run(model=model, attention="pytorch attention") == (model,)
    assert FluxKVCache().run(model=model) == (model,)
    assert QwenImage21Cache().run(model=model, device="gpu", dtype="int8") == (model,)
    assert ChromaRadianceOptions().run(model=model, nerf_tile_size=32) == (model,)
    assert WanAnimate2Cache().run(model=model, device="gpu", dtype="int8") == (model,)


def saved(base: Path, tensors: dict[str, torch.Tensor], options: Any = None) -> str:
    """A file among the embeddings of a base folder."""
    folder = base / "models" / "embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    metadata = None if options is None else {"conditioning_options": json.dumps(options)}
    save_file(tensors, folder / "prompt.safetensors", metadata)
    return "prompt.safetensors"


def test_an_encoded_prompt_is_read_with_its_options(tmp_path: Path) -> None:
    tensors = {
        "conditioning": torch.rand(1, 4, 8),
        "pooled_output": torch.rand(1, 8),
        "reference_latents.1": torch.ones(1),
        "reference_latents.0": torch.zeros(1),
        "alone.7": torch.ones(2),
    }
    name = saved(tmp_path, tensors, {"guidance": 3.5})
    with node_context(tmp_path):
        (made,) = ConditioningLoader().run(name)
    [[context, options]] = made
    assert torch.equal(context, tensors["conditioning"])
    assert torch.equal(options["pooled_output"], tensors["pooled_output"])
    assert [int(latent) for latent in options["reference_latents"]] == [0, 1]
    assert torch.equal(options["alone.7"], tensors["alone.7"])
    assert options["guidance"] == 3.5


@pytest.mark.parametrize(
    ("tensors", "options", "message"),
    [
        ({"other": torch.ones(1)}, None, "holds no tensor"),
        ({"conditioning": torch.ones(1)}, [1], "no JSON object"),
    ],
)
def test_a_file_that_is_no_prompt_says_so(
    tmp_path: Path, tensors: dict[str, torch.Tensor], options: Any, message: str
) -> None:
    name = saved(tmp_path, tensors, options)
    with node_context(tmp_path), pytest.raises(ValueError, match=message):
        ConditioningLoader().run(name)
