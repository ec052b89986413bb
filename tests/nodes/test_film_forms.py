"""Containers, codecs and losses of films, read back from the files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from nodes.film_forms import codec_of, film_form
from nodes.video import CreateVideo, GetVideoComponents, SaveVideo
from nodes.video_files import VideoFromFile, VideoInput
from tests.nodes.context import node_context
from tests.nodes.test_audio import tone
from tests.nodes.test_video import film, packets, path_of


def noise(frames: int = 4) -> Tensor:
    return torch.rand(frames, 64, 96, 3, generator=torch.Generator().manual_seed(1))


def saved(video: VideoInput, base: Path, prefix: str = "f", **inputs: Any) -> Path:
    """The file that a graph makes of a video."""
    format = inputs.pop("format", "auto")
    result = SaveVideo().run_flat(video=video, filename_prefix=prefix, format=format, **inputs)
    return path_of(result, base)


def chosen(format: str, codec: str, encoding: str | None = None, crf: float | None = None) -> Any:
    """Inputs as they are in a graph."""
    inputs: dict[str, Any] = {"format": format, "format.codec": codec}
    if encoding is not None:
        inputs["format.codec.encoding"] = encoding
    if crf is not None:
        inputs["format.codec.encoding.crf"] = crf
    return inputs


def streams(path: Path) -> tuple[str, list[str]]:
    """The container and the codecs of a file."""
    with av.open(str(path)) as container:
        return container.format.name, [codec_of(stream) for stream in container.streams]


@pytest.mark.parametrize(
    ("inputs", "suffix", "codecs"),
    [
        ({}, "mp4", ["h264", "aac"]),
        (chosen("auto", "auto"), "mp4", ["h264", "aac"]),
        (chosen("auto", "h264"), "mp4", ["h264", "aac"]),
        (chosen("auto", "av1"), "webm", ["av1", "opus"]),
        (chosen("mp4", "av1", "auto"), "mp4", ["av1", "aac"]),
        (chosen("mkv", "auto"), "mkv", ["h264", "aac"]),
        (chosen("mkv", "av1", "re-encode", 50), "mkv", ["av1", "aac"]),
        (chosen("webm", "auto"), "webm", ["av1", "opus"]),
        (chosen("webm", "av1"), "webm", ["av1", "opus"]),
        # The flat codec of earlier releases holds where the format has none.
        ({"format": "mp4", "codec": "h264"}, "mp4", ["h264", "aac"]),
        ({"format": "auto", "codec": "av1"}, "webm", ["av1", "opus"]),
        (chosen("mkv", "auto") | {"codec": "av1"}, "mkv", ["av1", "aac"]),
        (chosen("mkv", "h264") | {"codec": "av1"}, "mkv", ["h264", "aac"]),
    ],
)
def test_a_film_becomes_what_was_chosen(
    tmp_path: Path, inputs: dict[str, Any], suffix: str, codecs: list[str]
) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(4, 64, 96), 8, tone(rate=16000))
        path = saved(video, tmp_path, **inputs, prompt={"n": 1})
    assert path.suffix == f".{suffix}"
    container, found = streams(path)
    assert {"mkv": "matroska"}.get(suffix, suffix) in container
    assert found == codecs
    with av.open(str(path)) as opened:
        tags = {key.lower(): value for key, value in opened.metadata.items()}
        assert json.loads(tags["prompt"]) == {"n": 1}
        assert len(list(opened.decode(video=0))) == 4


@pytest.mark.parametrize(("codec", "losses"), [("h264", (0, 20.5, 51)), ("av1", (5, 30, 63))])
def test_a_larger_loss_makes_a_smaller_file(
    tmp_path: Path, codec: str, losses: tuple[float, ...]
) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(noise(), 8)
        sizes = [
            saved(video, tmp_path, **chosen("mp4", codec, "re-encode", crf)).stat().st_size
            for crf in losses
        ]
    assert sizes[0] > 1.5 * sizes[1] > 2 * sizes[2]


def test_without_a_loss_all_levels_come_back(tmp_path: Path) -> None:
    grey = (torch.arange(64).float() / 63).expand(2, 64, 64)[..., None].expand(-1, -1, -1, 3)
    with node_context(tmp_path):
        (video,) = CreateVideo().run(grey, 8)
        path = saved(video, tmp_path, **chosen("mp4", "h264", "re-encode", 0))
        again = VideoFromFile(path).get_components().images
    torch.testing.assert_close(again, grey, atol=2.1 / 255, rtol=0)


@pytest.mark.parametrize("codec", ["h264", "av1"])
@pytest.mark.parametrize(("space", "transfer"), [("sRGB", 2), ("HDR", 18), ("HDR PQ", 16)])
def test_bits_and_colours_are_in_the_file(
    tmp_path: Path, codec: str, space: str, transfer: int
) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(noise(2), 8, None, 10, space)
        path = saved(video, tmp_path, **chosen("mkv", codec, "re-encode", 30))
        components = GetVideoComponents().run(VideoFromFile(path))
    assert components[3:] == (10, space)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, context.color_trc) == ("yuv420p10le", transfer)


@pytest.mark.parametrize(
    ("codec", "names"),
    [("auto", ["h264", "aac"]), ("h264", ["h264", "aac"]), ("av1", ["av1", "opus"])],
)
def test_a_video_is_coded_at_once_where_a_codec_is_said(
    tmp_path: Path, codec: str, names: list[str]
) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(), 12.5, tone(rate=16000), 8, "sRGB", codec)
        source = video.get_stream_source()
        assert isinstance(source, io.BytesIO)
        with av.open(source) as container:
            assert [codec_of(stream) for stream in container.streams] == names
        images, sound, fps, bits, space = GetVideoComponents().run(video)
        kept = saved(video, tmp_path)  # its pictures are kept as they are
    assert (fps, bits, space) == (12.5, 8, "sRGB")
    torch.testing.assert_close(images, film(), atol=0.03, rtol=0)
    assert sound is not None
    assert (kept.suffix, streams(kept)[1]) == (".mp4", names)


def test_a_video_without_a_codec_keeps_its_images() -> None:
    images = film()
    for codec in ((), ("none",)):
        (video,) = CreateVideo().run(images, 8, None, "auto", "sRGB", *codec)
        assert video.get_components().images is images


@pytest.mark.parametrize(
    ("form", "codec", "inputs", "kept"),
    [
        ("mp4", "h264", chosen("auto", "auto"), True),
        ("mkv", "h264", chosen("mp4", "h264", "auto"), True),
        ("mp4", "h264", chosen("mkv", "auto"), True),
        ("mp4", "h264", chosen("mp4", "h264", "re-encode", 23), False),
        ("mp4", "h264", chosen("mp4", "av1"), False),
        ("mp4", "h264", chosen("webm", "auto"), False),
        ("webm", "av1", chosen("auto", "auto"), True),
        ("webm", "av1", chosen("auto", "av1", "auto"), True),
        ("webm", "av1", chosen("auto", "h264"), False),
        ("mp4", "av1", chosen("webm", "auto"), True),
    ],
)
def test_pictures_that_may_stay_as_they_are_are_copied(
    tmp_path: Path, form: str, codec: str, inputs: dict[str, Any], kept: bool
) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(4, 64, 96), 8, tone(rate=16000))
        first = saved(video, tmp_path, "first", **chosen(form, codec), prompt={"n": 1})
        second = saved(VideoFromFile(first), tmp_path, "second", **inputs, prompt={"n": 2})
        assert (packets(second, "video") == packets(first, "video")) == kept
        parts = VideoFromFile(second).get_components()
    torch.testing.assert_close(parts.images, film(4, 64, 96), atol=0.03, rtol=0)
    assert parts.audio["waveform"].shape[-1] / parts.audio["sample_rate"] == pytest.approx(
        0.5, abs=0.1
    )
    with av.open(str(second)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert json.loads(tags["prompt"]) == {"n": 2}


@pytest.mark.parametrize(
    ("format", "codec", "message"),
    [("webm", "h264", "webm files hold av1, not 'h264'"), ("avi", "auto", "not 'avi'")],
)
def test_what_does_not_go_together_is_refused(format: str, codec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        film_form(format, codec)
