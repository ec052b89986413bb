"""Pictures that are painted over, and pictures made ready for video models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from nodes.painter import Painter
from nodes.video_pictures import LTXVPreprocess, SeedVR2Preprocess
from tests.nodes.context import node_context


def test_without_anything_painted_there_is_the_canvas(tmp_path: Path) -> None:
    with node_context(tmp_path):
        made = Painter().run("", 64, 128, "#ff0000")
    image, mask = made["result"]
    assert (image.shape, mask.shape) == ((1, 128, 64, 3), (1, 128, 64))
    assert image[0, 5, 5].tolist() == [1, 0, 0]
    assert mask.count_nonzero() == 0
    assert len(made["ui"]["images"]) == 1


@pytest.mark.parametrize("side", [8, 16])
def test_what_was_painted_lies_over_the_first_picture(tmp_path: Path, side: int) -> None:
    with node_context(tmp_path) as folders:
        painted = Image.new("RGBA", (side, side), (0, 0, 255, 255))
        painted.paste((0, 0, 0, 0), (0, 0, side // 2, side))
        painted.save(folders.input / "painted.png")
        image = torch.ones(2, 8, 8, 3)
        made, mask = Painter().run("painted.png [input]", 64, 64, "#000000", image)["result"]
    assert made.shape == (1, 8, 8, 3)
    assert made[0, 4, 1].tolist() == pytest.approx([1, 1, 1], abs=0.02)
    assert made[0, 4, 6].tolist() == pytest.approx([0, 0, 1], abs=0.02)
    assert mask[0, 4, [1, 6]].tolist() == pytest.approx([0, 1], abs=0.02)


def test_a_file_without_transparency_covers_all(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        Image.new("RGB", (8, 8), (0, 255, 0)).save(folders.input / "opaque.png")
        made, mask = Painter().run("opaque.png", 64, 64, "#000000")["result"]
    assert made[0, 0, 0].tolist() == [0, 1, 0]
    assert mask.min() == 1


def test_compression_keeps_what_a_picture_shows_and_makes_sides_even() -> None:
    ramp = torch.linspace(0, 1, 65).expand(33, 65)[..., None].expand(-1, -1, 4)
    (made,) = LTXVPreprocess().run(ramp[None], 20)
    assert made.shape == (1, 32, 64, 3)
    assert (made[0] - ramp[:32, :64, :3]).abs().mean() < 0.03
    noise = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    losses = [(LTXVPreprocess().run(noise, crf)[0] - noise).abs().mean() for crf in (10, 40, 100)]
    assert losses[0] < losses[1] < losses[2]


def test_no_compression_changes_nothing() -> None:
    image = torch.rand(1, 5, 5, 3)
    assert LTXVPreprocess().run(image, 0)[0] is image
    assert LTXVPreprocess().run(torch.rand(1, 1, 9, 3), 35)[0].shape == (1, 1, 9, 3)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 5), (5, 5), (6, 9)])
def test_pictures_are_padded_to_what_seedvr_takes(count: int, expected: int) -> None:
    (made,) = SeedVR2Preprocess().run(torch.full((count, 17, 16, 4), 2.0))
    assert made.shape == (expected, 32, 16, 3)
    assert made[:, :17].min() == made.max() == 1
    assert made[:, 17:].max() == 0
