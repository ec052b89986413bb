"""Choosing and reading input files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image, UnidentifiedImageError

from executor.file_options import FileOptionLists
from executor.folders import OutsideFolder
from nodes.context import installed_files, use_files
from nodes.loaded_images import (
    DamagedPicture,
    ImageTooLarge,
    NotAPicture,
    read_image,
    read_mask,
)
from nodes.loaders import VAELoader
from nodes.loading import LoadImage, LoadImageMask, LoadImageOutput
from tests.nodes.context import node_context


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """Folders with one image in each."""
    before = installed_files()
    with node_context(tmp_path) as folders:
        use_files(FileOptionLists(folders))
        for folder in (folders.input, folders.output):
            Image.new("RGB", (6, 4), (255, 0, 0)).save(folder / f"{folder.name}.png")
        yield tmp_path
    use_files(before)


def test_the_choices_are_the_images_of_the_input_folder_as_they_are_now(base: Path) -> None:
    def choices() -> list[str]:
        names: list[str] = LoadImage.INPUT_TYPES()["required"]["image"][0]
        return names

    assert choices() == ["input.png"]
    (base / "input" / "a.webp").touch()
    (base / "input" / "text.txt").touch()
    (base / "input" / "folder.png").mkdir()
    assert choices() == ["a.webp", "input.png"]


def test_choices_that_are_no_files_follow_the_files(base: Path) -> None:
    (base / "models" / "vae" / "b.safetensors").touch()
    assert VAELoader.INPUT_TYPES()["required"]["vae_name"][0] == ["b.safetensors", "pixel_space"]


@pytest.mark.parametrize("name", ["input.png", "input.png [input]", "output.png [output]"])
def test_an_annotated_name_chooses_the_folder(base: Path, name: str) -> None:
    image, mask = LoadImage().run(name)
    assert (tuple(image.shape), tuple(mask.shape)) == ((1, 4, 6, 3), (1, 64, 64))
    assert LoadImage.VALIDATE_INPUTS(name) is True


@pytest.mark.parametrize("name", ["../output/output.png", "/etc/hostname"])
def test_a_name_that_leaves_the_folder_is_refused(base: Path, name: str) -> None:
    with pytest.raises(OutsideFolder):
        LoadImage().run(name)
    assert name in str(LoadImage.VALIDATE_INPUTS(name))


def test_a_picture_that_is_a_program_is_not_run(base: Path) -> None:
    Image.new("RGB", (8, 8)).save(base / "input" / "program.png", format="EPS")
    with pytest.raises(UnidentifiedImageError):
        LoadImage().run("program.png")


def test_a_missing_file_is_named_by_the_check(base: Path) -> None:
    assert "gone.png" in str(LoadImageMask.VALIDATE_INPUTS("gone.png"))


def test_a_new_picture_under_the_old_name_counts_as_changed(base: Path) -> None:
    before = LoadImage.IS_CHANGED("input.png")
    assert LoadImageMask.IS_CHANGED("input.png", channel="red") == before
    Image.new("RGB", (6, 4), (0, 255, 0)).save(base / "input" / "input.png")
    assert LoadImage.IS_CHANGED("input.png") != before


def test_a_file_that_is_no_picture_says_what_can_be_read(base: Path) -> None:
    (base / "input" / "x.pcx").write_bytes(b"\x0a no picture")
    with pytest.raises(NotAPicture, match=r"'x.pcx' cannot be read as a picture: .* PNG, JPEG"):
        LoadImage().run("x.pcx")


def test_formats_that_start_other_programs_are_refused(base: Path) -> None:
    (base / "input" / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")
    with pytest.raises(NotAPicture):
        LoadImage().run("x.png")


@pytest.mark.parametrize(
    ("format", "suffix"), [("AVIF", "avif"), ("WEBP", "webp"), ("TIFF", "tif")]
)
def test_other_formats_are_read_with_all_frames_and_transparency(
    base: Path, format: str, suffix: str
) -> None:
    frames = [Image.new("RGBA", (6, 4), (shade, 0, 0, 128)) for shade in (0, 255)]
    more = {} if format == "TIFF" else {"lossless": True, "quality": 100}
    frames[0].save(
        base / "input" / f"x.{suffix}", format, save_all=True, append_images=frames[1:], **more
    )
    image, mask = LoadImage().run(f"x.{suffix}")
    assert image.shape == (2, 4, 6, 3)
    assert mask.mean() == pytest.approx(127 / 255, abs=0.01)


def test_an_image_of_the_output_folder_is_read(base: Path) -> None:
    assert LoadImageOutput.VALIDATE_INPUTS("output.png [output]") is True
    assert LoadImageOutput().run("output.png [output]")[0][0, 0, 0].tolist() == [1, 0, 0]


def test_a_damaged_picture_says_which_one_it_is(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 30)
    with pytest.raises(DamagedPicture, match=r"the picture 'half\.png' is damaged: "):
        read_image(path, path.name)


def test_a_picture_that_is_not_there_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")


def test_frames_without_transparency_are_opaque_beside_those_with(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (8, 4), (9, 9, 9, 51)), Image.new("RGB", (8, 4), (9, 9, 9))]
    frames[0].save(tmp_path / "x.tif", save_all=True, append_images=frames[1:])
    image, mask = read_image(tmp_path / "x.tif")
    assert image.shape == (2, 4, 8, 3)
    assert mask.mean(dim=(1, 2)).tolist() == pytest.approx([0.8, 0])


def test_the_colour_channel_a_is_no_transparency(tmp_path: Path) -> None:
    Image.new("LAB", (8, 4), (128, 128, 128)).save(tmp_path / "x.tif")
    assert not read_image(tmp_path / "x.tif")[1].any()


@pytest.mark.parametrize(("format", "rotated"), [("JPEG", 6), ("TIFF", 6), ("AVIF", 8)])
def test_pictures_come_upright(tmp_path: Path, format: str, rotated: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = rotated
    Image.new("RGB", (8, 4)).save(tmp_path / "x", format, exif=exif)
    assert read_image(tmp_path / "x")[0].shape == (1, 8, 4, 3)
    assert read_mask(tmp_path / "x", "red").shape == (1, 8, 4)


def test_a_later_frame_that_is_too_large_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("P", (8, 8), shade) for shade in (1, 2)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    gif = bytearray((tmp_path / "x.gif").read_bytes())
    second = gif.rindex(b",\0\0\0\0")  # an image descriptor: place, width, height
    gif[second + 5 : second + 9] = b"\xff\xff\xff\xff"
    (tmp_path / "x.gif").write_bytes(gif)
    with pytest.raises(ImageTooLarge, match=r"'x\.gif'"):
        read_image(tmp_path / "x.gif", "x.gif", 10_000)


def _originals(folder: Path) -> Iterator[bytes]:
    frames = [Image.new("RGB", (6, 4), (shade, 9, 9)) for shade in (0, 99, 255)]
    for number, (format, several) in enumerate(
        [("PNG", True), ("JPEG", False), ("WEBP", True), ("GIF", True), ("TIFF", True),
         ("AVIF", True), ("BMP", False), ("ICO", False), ("PPM", False)]
    ):  # fmt: skip
        path = folder / str(number)
        more: dict[str, Any] = {"save_all": True, "append_images": frames[1:]} if several else {}
        frames[0].save(path, format, **more)
        yield path.read_bytes()


@pytest.mark.filterwarnings("ignore::Warning:PIL")
def test_files_with_wrong_bytes_are_read_or_refused_by_name(tmp_path: Path) -> None:
    chance = Random(1)
    originals = list(_originals(tmp_path))
    refused = 0
    for _ in range(400):
        content = bytearray(chance.choice(originals))
        for _ in range(chance.choice([1, 4, 16])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        del content[chance.choice([len(content), len(content) // 2]) :]
        try:
            image, mask = read_image(io.BytesIO(content), "x", 10_000)
            assert image.isfinite().all()
            assert mask.isfinite().all()
        except (NotAPicture, DamagedPicture, ImageTooLarge) as error:
            assert "'x'" in str(error)
            refused += 1
    assert 100 < refused < 400
