"""Videos one after the other: as they are coded, or anew."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.film_forms import codec_of
from nodes.sound_files import Sound
from nodes.video import ConcatenateVideo, CreateVideo, SaveVideo
from nodes.video_files import VideoFromFile, VideoInput
from nodes.video_joining import VideoFromList
from tests.nodes.context import node_context
from tests.nodes.test_audio import tone
from tests.nodes.test_video import film, path_of


def join(*videos: VideoInput, **more: Any) -> VideoFromFile:
    numbered = {f"videos.video{index}": video for index, video in enumerate(videos)}
    (made,) = ConcatenateVideo().run_flat(**{"codec": "auto"} | numbered | more)
    assert isinstance(made, VideoFromFile)
    return made


def packets(video: VideoFromFile) -> list[bytes]:
    with video.opened() as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def saved(video: VideoInput, base: Path, format: str = "mp4", codec: str = "h264") -> VideoFromFile:
    result = SaveVideo().run(video, "part", format, codec)
    return VideoFromFile(path_of(result, base))


@pytest.mark.parametrize("form", [("mp4", "h264"), ("mkv", "h264"), ("webm", "av1")])
def test_files_that_are_coded_alike_are_joined_as_they_are(
    tmp_path: Path, form: tuple[str, str]
) -> None:
    with node_context(tmp_path):
        one = saved(CreateVideo().run(film(8), 8.0, tone(1.0))[0], tmp_path, *form)
        two = saved(CreateVideo().run(1 - film(8), 8.0, tone(1.0))[0], tmp_path, *form)
        both = join(one, two, one)
        assert packets(both) == packets(one) + packets(two) + packets(one)
        parts = both.get_components()
    expected = torch.cat((film(8), 1 - film(8), film(8)))
    torch.testing.assert_close(parts.images, expected, atol=0.03, rtol=0)
    assert parts.frame_rate == 8
    assert both.get_duration() == pytest.approx(3.0, abs=0.1)
    rate = parts.audio["sample_rate"]
    assert parts.audio["waveform"].shape[-1] == pytest.approx(3 * rate, abs=1024)


def test_pictures_keep_their_times_where_they_are_joined(tmp_path: Path) -> None:
    with node_context(tmp_path):
        one = saved(CreateVideo().run(film(6), 8.0)[0], tmp_path)
        both = join(one, one)
    with both.opened() as container:
        times = [Fraction(frame.pts) * frame.time_base for frame in container.decode(video=0)]
    assert times == [Fraction(index, 8) for index in range(12)]


@pytest.mark.parametrize(("codec", "name"), [("auto", "h264"), ("h264", "h264"), ("av1", "av1")])
def test_images_are_coded_with_the_codec_that_is_said(codec: str, name: str) -> None:
    (one,) = CreateVideo().run(film(4, 64, 64), 8.0)
    (two,) = CreateVideo().run(1 - film(4, 64, 64), 8.0)
    both = join(one, two, codec=codec)
    with both.opened() as container:
        assert codec_of(container.streams.video[0]) == name
    expected = torch.cat((film(4, 64, 64), 1 - film(4, 64, 64)))
    torch.testing.assert_close(both.get_components().images, expected, atol=0.03, rtol=0)


def test_a_file_stays_as_it_is_beside_images_of_its_kind(tmp_path: Path) -> None:
    (new,) = CreateVideo().run(1 - film(4), 8.0, tone(0.5))
    with node_context(tmp_path):
        file = saved(CreateVideo().run(film(4), 8.0, tone(0.5))[0], tmp_path)
        both = join(file, new)
        assert packets(both)[: len(packets(file))] == packets(file)
        parts = both.get_components()
    expected = torch.cat((film(4), 1 - film(4)))
    torch.testing.assert_close(parts.images, expected, atol=0.03, rtol=0)
    rate = parts.audio["sample_rate"]
    assert parts.audio["waveform"].shape[-1] == pytest.approx(rate, abs=1024)


def test_files_of_other_kinds_and_parts_of_files_are_coded_anew(tmp_path: Path) -> None:
    with node_context(tmp_path):
        one = saved(CreateVideo().run(film(8), 8.0)[0], tmp_path)
        other = saved(CreateVideo().run(film(4, 64, 64), 8.0)[0], tmp_path, "webm", "av1")
        both = join(one, other)
        assert (both.get_frame_count(), both.get_dimensions()) == (12, (64, 48))
        part = join(one.as_trimmed(0.25, 0.5), one)
        expected = torch.cat((film(8)[2:6], film(8)))
        torch.testing.assert_close(part.get_components().images, expected, atol=0.04, rtol=0)


def test_a_sound_for_all_takes_the_place_of_theirs(tmp_path: Path) -> None:
    loud: Sound = {"waveform": torch.ones(1, 1, 8000) * 0.5, "sample_rate": 8000}
    with node_context(tmp_path):
        one = saved(CreateVideo().run(film(4), 8.0, tone(0.5))[0], tmp_path)
        for videos in ((one, one), (CreateVideo().run(film(4), 8.0, tone(0.5))[0],) * 2):
            sound = join(*videos, complete_audio=loud).get_components().audio
            assert sound["sample_rate"] == 8000
            assert sound["waveform"][..., 2000:6000].mean().item() == pytest.approx(0.5, abs=0.1)


def test_sides_rates_and_channels_are_those_of_the_first() -> None:
    mono: Sound = {"waveform": torch.zeros(1, 1, 480), "sample_rate": 8000}
    stereo: Sound = {"waveform": torch.ones(1, 2, 9999), "sample_rate": 8000}
    (first,) = CreateVideo().run(film(2, 48, 64), 10.0, mono)
    (second,) = CreateVideo().run(film(6, 30, 30), 20.0, stereo)
    (third,) = CreateVideo().run(film(2, 48, 64), 5.0)
    parts = VideoFromList([first, second, third]).get_components()
    assert parts.images.shape == (2 + 3 + 4, 48, 64, 3)
    shades = parts.images[:, 0, 0, 0]
    torch.testing.assert_close(shades[2:5], film(6)[::2, 0, 0, 0])
    torch.testing.assert_close(shades[5:], film(2)[:, 0, 0, 0].repeat_interleave(2))
    heard = parts.audio["waveform"][0, 1]
    assert len(heard) == 9 * 800
    assert heard[1600:4000].min() == 1  # during the second
    assert heard[:1600].max() == heard[4000:].max() == 0


def test_nothing_is_no_video() -> None:
    with pytest.raises(ValueError, match="at least one other"):
        VideoFromList([])
    with pytest.raises(ValueError, match="at least one other"):
        join()
