"""AVIF files of 10 bits and HDR: read by Pillow and FFmpeg, with the workflow inside."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from PIL import Image
from torch import Tensor

from nodes.advanced_saving import SaveImageAdvanced
from nodes.avif_files import with_exif
from nodes.saved_images import exif
from tests.nodes.context import node_context

SHADES = (0.2, 0.4, 0.6)


def _images(count: int) -> Tensor:
    return torch.stack([torch.full((33, 48, 3), shade) for shade in SHADES[:count]])


def _saved(base: Path, images: Tensor, mode: str = "still images", **more: Any) -> list[Path]:
    options = {
        "format": "avif",
        "format.bit_depth": "auto",
        "format.input_color_space": "HDR PQ",
        "format.crf": 10,
        "format.save_mode": mode,
        **{f"format.{name}": value for name, value in more.items()},
    }
    with node_context(base):
        result = SaveImageAdvanced().run_flat(
            images=images,
            filename_prefix="x",
            prompt={"1": {}},
            extra_pnginfo={"workflow": {"ü": 1}},
            **options,
        )
    return [base / "output" / entry["filename"] for entry in result["ui"]["images"]]


@pytest.mark.parametrize(("space", "transfer"), [("HDR", 18), ("HDR PQ", 16), ("sRGB", 2)])
def test_a_picture_has_ten_bits_its_colours_and_the_workflow(
    tmp_path: Path, space: str, transfer: int
) -> None:
    depth = "10-bit YUV420" if space == "sRGB" else "auto"
    options = {"input_color_space": space, "bit_depth": depth}
    first, second = _saved(tmp_path, _images(2), **options)
    with Image.open(second) as picture:
        assert picture.size == (48, 32)
        tags = picture.getexif()
        assert tags[0x0110] == 'prompt:{"1": {}}'
        assert tags[0x010F].startswith("workflow:")
    with av.open(str(first)) as container:
        codec: Any = container.streams.video[0].codec_context
        assert (codec.pix_fmt, int(codec.color_trc)) == ("yuv420p10le", transfer)
        (frame,) = container.decode(video=0)
        assert frame.to_ndarray(format="rgb24").mean() == pytest.approx(51, abs=4)


def test_moving_pictures_are_whole_with_what_was_put_into_the_file(tmp_path: Path) -> None:
    (path,) = _saved(
        tmp_path,
        _images(3),
        "animated",
        **{"save_mode.fps": 4.0, "save_mode.loop_count": 2},
    )
    assert b"prompt:" in path.read_bytes()
    with Image.open(path) as picture:
        shown = []
        for index in range(picture.n_frames):  # type: ignore[attr-defined]
            picture.seek(index)
            picture.load()
            assert picture.info["duration"] == 250
            shown.append(picture.convert("L").getpixel((5, 5)))
    assert shown == pytest.approx([255 * shade for shade in SHADES], abs=5)


def test_eight_bits_may_play_so_often_as_well(tmp_path: Path) -> None:
    (path,) = _saved(
        tmp_path,
        _images(2),
        "animated",
        input_color_space="sRGB",
        **{"save_mode.fps": 4.0, "save_mode.loop_count": 1},
    )
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_picture_without_a_pixel_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 x 2 pixels"):
        _saved(tmp_path, torch.zeros(1, 1, 8, 3))


def test_files_of_other_writers_take_what_is_put_in(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (255, 0, 0)).save(buffer, "AVIF")
    whole = with_exif(buffer.getvalue(), exif({"prompt": {"a": 1}}).tobytes())
    with Image.open(io.BytesIO(whole)) as picture:
        assert picture.getexif()[0x0110] == 'prompt:{"a": 1}'
        red, *_ = picture.convert("RGB").getpixel((8, 8))  # type: ignore[misc]
        assert red > 240


def test_a_list_of_items_of_another_form_is_refused() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "AVIF")
    data = bytearray(buffer.getvalue())
    data[data.index(b"iloc") + 4] = 2  # its version
    with pytest.raises(ValueError, match="unknown form"):
        with_exif(bytes(data), b"")
