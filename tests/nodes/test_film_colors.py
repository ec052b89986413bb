"""Films of more bits, and of more light than screens usually have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from nodes.film_colors import film_colors
from nodes.video import CreateVideo, GetVideoComponents, SaveVideo
from nodes.video_files import VideoFromFile
from tests.nodes.context import node_context


def ramp() -> Tensor:
    """Two pictures that become lighter by less than a step of 8 bits a pixel."""
    return torch.linspace(0.4, 0.6, 256)[None, None, :, None].expand(2, 32, -1, 3).contiguous()


def coded(bit_depth: object, space: str) -> VideoFromFile:
    (video,) = CreateVideo().run(ramp(), 24.0, None, bit_depth, space)
    buffer = io.BytesIO()
    video.save_to(buffer)
    return VideoFromFile(buffer)


@pytest.mark.parametrize(
    ("bit_depth", "space", "expected"),
    [
        ("auto", "sRGB", 8),
        ("auto", "HDR", 10),
        (8, "HDR PQ", 8),
        ("10", "sRGB", 10),
        (10, "HDR PQ", 10),
    ],
)
def test_a_film_comes_back_with_its_bits_and_its_colours(
    bit_depth: object, space: str, expected: int
) -> None:
    images, _, _, bits, found = GetVideoComponents().run(coded(bit_depth, space))
    assert (bits, found) == (expected, space)
    assert (images - ramp()).abs().mean() < 0.01


def test_ten_bits_have_more_levels() -> None:
    levels = [
        len(set(GetVideoComponents().run(coded(depth, "sRGB"))[0][0, 16, :, 1].tolist()))
        for depth in (8, 10)
    ]
    assert levels[1] > 1.5 * levels[0]


@pytest.mark.parametrize(("space", "transfer"), [("HDR", 18), ("HDR PQ", 16)])
def test_players_are_told_what_the_values_stand_for(
    tmp_path: Path, space: str, transfer: int
) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(ramp(), 24.0, None, "auto", space)
        result = SaveVideo().run(video, "film", "mkv", "auto")
    (entry,) = result["ui"]["images"]
    with av.open(str(tmp_path / "output" / entry["filename"])) as container:
        codec: Any = container.streams.video[0].codec_context
        assert codec.pix_fmt == "yuv420p10le"
        assert (codec.color_primaries, codec.color_trc, codec.colorspace) == (9, transfer, 9)


@pytest.mark.parametrize("bit_depth", [None, "auto", 8, "8", 10])
def test_numbers_of_bits_are_taken_as_they_come(bit_depth: Any) -> None:
    assert CreateVideo.VALIDATE_INPUTS(bit_depth) is True


def test_other_films_are_refused() -> None:
    assert CreateVideo.VALIDATE_INPUTS(12) == "a film has 8 or 10 bits"
    with pytest.raises(ValueError, match="8 or 10 bits a channel, not 12"):
        film_colors(12, "sRGB")
    with pytest.raises(ValueError, match="not 'Adobe'"):
        film_colors(8, "Adobe")
