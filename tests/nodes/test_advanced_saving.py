"""Images in a format of choice, read back by libraries that did not write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nodes.advanced_saving import SaveImageAdvanced
from nodes.deep_pictures import LibraryMissing, to_linear
from tests.nodes.context import node_context

WORKFLOW = {"prompt": {"1": {}}, "extra_pnginfo": {"workflow": {"ü": 1}}}


def save(base: Path, images: Tensor, format: str, **options: Any) -> list[Path]:
    flat = {f"format.{key.replace('__', '.')}": value for key, value in options.items()}
    with node_context(base):
        result = SaveImageAdvanced().run_flat(
            images=images, filename_prefix="d/x", format=format, **flat, **WORKFLOW
        )
    assert result["result"] == (images,)
    return [base / "output" / "d" / entry["filename"] for entry in result["ui"]["images"]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_files_of_16_bits_hold_all_of_them(tmp_path: Path, channels: int) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 5, 7, channels)
    (path,) = save(tmp_path, image, "png", bit_depth="16-bit", input_color_space="sRGB")
    assert path.name == "x_00001.png"
    form = {1: "gray16le", 3: "rgb48le", 4: "rgba64le"}[channels]
    with av.open(str(path)) as container:
        found = next(container.decode(video=0)).to_ndarray(format=form).reshape(5, 7, channels)
    expected = (image[0].double() * 65535).numpy().astype(np.uint16)
    np.testing.assert_array_equal(found, expected)
    with Image.open(path) as picture:
        text: dict[str, str] = picture.text  # type: ignore[attr-defined]
    assert json.loads(text["prompt"]) == {"1": {}}
    assert json.loads(text["workflow"]) == {"ü": 1}


def test_masks_are_grey_pictures_and_numbers_go_on(tmp_path: Path) -> None:
    options = {"bit_depth": "8-bit", "input_color_space": "sRGB"}
    save(tmp_path, torch.zeros(2, 4, 6), "png", **options)
    paths = save(tmp_path, torch.ones(1, 4, 6), "png", **options)
    assert [path.name for path in paths] == ["x_00003.png"]
    with Image.open(paths[0]) as picture:
        assert (picture.mode, picture.size, picture.getextrema()) == ("L", (6, 4), (255, 255))


@pytest.mark.parametrize(
    ("space", "value", "light"),
    [
        ("sRGB", 0.04, 0.04 / 12.92),
        ("sRGB", 0.5, 0.21404),
        ("sRGB", 2.0, 4.9538),
        ("HDR", 0.5, 1 / 12),
        ("HDR", 1.0, 1.0),
        ("linear", -0.5, -0.5),
        ("linear ACEScg", 7.0, 7.0),
    ],
)
def test_values_become_linear_light(space: str, value: float, light: float) -> None:
    found = to_linear(torch.tensor([[value] * 3 + [0.25]]), space)
    torch.testing.assert_close(found, torch.tensor([[light] * 3 + [0.25]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("depth", "kind"), [("16-bit float", "f2"), ("32-bit float", "f4")])
def test_exr_files_hold_numbers_beyond_1(tmp_path: Path, depth: str, kind: str) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    image = torch.tensor([0.25, 4.0, -1.0]).expand(1, 3, 2, 3)
    (path,) = save(tmp_path, image, "exr", bit_depth=depth, input_color_space="linear ACEScg")
    file = OpenEXR.File(str(path))
    pixels = file.channels()["RGB"].pixels
    assert pixels.dtype == np.dtype(kind)
    np.testing.assert_array_equal(pixels, image[0].numpy())
    assert json.loads(file.header()["workflow"]) == {"ü": 1}
    assert file.header()["chromaticities"][0] == pytest.approx(0.713)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.deep_pictures.find_spec", lambda name: None)
    options = {"bit_depth": "32-bit float", "input_color_space": "linear"}
    with pytest.raises(LibraryMissing, match="pip install OpenEXR"):
        save(tmp_path, torch.zeros(1, 2, 2, 3), "exr", **options)


AVIF = {"bit_depth": "auto", "input_color_space": "sRGB", "crf": 5}


def test_avif_files_are_one_an_image_or_one_for_all(tmp_path: Path) -> None:
    images = torch.stack([torch.full((16, 16, 3), value) for value in (0.2, 0.8)])
    stills = save(tmp_path, images, "avif", save_mode="still images", **AVIF)
    for path, expected in zip(stills, (51, 204), strict=True):
        with Image.open(path) as picture:
            assert picture.format == "AVIF"
            red, *_ = picture.convert("RGB").getpixel((8, 8))  # type: ignore[misc]
            assert abs(red - expected) < 4
            assert picture.getexif()[0x0110].startswith("prompt:")
    options = {**AVIF, "save_mode": "animated", "save_mode__fps": 4.0}
    (moving,) = save(tmp_path, images, "avif", **options)
    with Image.open(moving) as picture:
        assert picture.n_frames == 2  # type: ignore[attr-defined]
        picture.seek(1)
        picture.load()
        assert picture.info["duration"] == 250
