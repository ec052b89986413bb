"""Pictures re-encoded for clients, judged by their pixels."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from server.errors import BadRequest
from server.images import Rendering, join_mask, read_rendering, render

RED_HALF = (200, 10, 20, 128)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "a.png"
    texts = PngInfo()
    texts.add_text("prompt", '{"1": {}}')
    Image.new("RGBA", (8, 6), RED_HALF).save(file, pnginfo=texts)
    return file


def opened(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded))


@pytest.mark.parametrize(
    ("channel", "preview", "expected"),
    [
        (None, None, None),
        ("rgba", None, None),
        ("anything", None, None),
        ("rgb", None, Rendering(channel="rgb")),
        ("a", None, Rendering(channel="a")),
        (None, "webp", Rendering(preview_format="webp")),
        (None, "jpeg;50", Rendering(preview_format="jpeg", quality=50)),
        (None, "jpeg;best", Rendering(preview_format="jpeg", quality=90)),
        (None, "png;50", Rendering(preview_format="webp", quality=50)),
        ("rgba", "jpeg", Rendering(channel="rgba", preview_format="webp")),
        ("a", "jpeg", Rendering(channel="a", preview_format="webp")),
        ("rgb", "jpeg", Rendering(channel="rgb", preview_format="jpeg")),
    ],
)
def test_parameters_are_read(
    channel: str | None, preview: str | None, expected: Rendering | None
) -> None:
    assert read_rendering(channel, preview) == expected


def test_channel_rgb_drops_alpha(picture: Path) -> None:
    image = opened(render(picture, Rendering(channel="rgb")))
    assert (image.format, image.mode, image.getpixel((0, 0))) == ("PNG", "RGB", RED_HALF[:3])


def test_channel_a_keeps_only_alpha(picture: Path) -> None:
    image = opened(render(picture, Rendering(channel="a")))
    assert (image.format, image.getpixel((0, 0))) == ("PNG", (0, 0, 0, 128))


def test_channel_a_is_white_where_the_file_has_no_alpha(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(tmp_path / "b.jpg")
    image = opened(render(tmp_path / "b.jpg", Rendering(channel="a")))
    assert image.getpixel((0, 0)) == (0, 0, 0, 255)


def test_a_webp_preview_keeps_alpha(picture: Path) -> None:
    image = opened(render(picture, Rendering(preview_format="webp")))
    assert (image.format, image.mode) == ("WEBP", "RGBA")


@pytest.mark.parametrize("channel", [None, "rgb"])
def test_a_jpeg_preview_has_no_alpha(picture: Path, channel: str | None) -> None:
    image = opened(render(picture, Rendering(preview_format="jpeg", channel=channel)))
    assert (image.format, image.mode) == ("JPEG", "RGB")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(BadRequest, match=r"x\.png"):
        render(tmp_path / "x.png", Rendering(channel="rgb"))


def test_a_mask_replaces_the_alpha_and_keeps_the_text(picture: Path) -> None:
    mask = io.BytesIO()
    Image.new("RGBA", (8, 6), (0, 0, 0, 7)).save(mask, "PNG")
    mask.seek(0)
    image = opened(join_mask(picture, mask))
    image.load()
    assert image.getpixel((3, 3)) == (*RED_HALF[:3], 7)
    assert image.info["prompt"] == '{"1": {}}'


def test_a_mask_of_another_size_is_refused(picture: Path) -> None:
    mask = io.BytesIO()
    Image.new("RGBA", (9, 6)).save(mask, "PNG")
    mask.seek(0)
    with pytest.raises(BadRequest, match="9x6"):
        join_mask(picture, mask)


def test_a_mask_that_is_no_image_is_refused(picture: Path) -> None:
    with pytest.raises(BadRequest):
        join_mask(picture, io.BytesIO(b"hello"))
