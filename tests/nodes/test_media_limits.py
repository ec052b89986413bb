"""Videos and sounds that take more memory than their files let one think."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.audio import AudioConcat
from nodes.audio_files import LoadAudio, SaveAudio
from nodes.context import Interrupted, NodeSettings
from nodes.decoded_media import MediaTooLarge
from nodes.sound_files import Sound, resample
from nodes.video import CreateVideo, GetVideoComponents, LoadVideo, SaveVideo, VideoSlice
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.test_audio import tone

FRAMES, SIDE, RATE = 48, 64, 8
FRAME_BYTES = SIDE * SIDE * 3 * 4


def kept(shown: list[dict[str, Any]]) -> str:
    """The name of a file in the output folder, as an input takes it."""
    return f"{shown[0]['subfolder']}/{shown[0]['filename']} [output]".lstrip("/")


@pytest.fixture
def film(tmp_path: Path) -> str:
    """A file of some kilobytes that holds more than 2 MB."""
    with node_context(tmp_path) as folders:
        (video,) = CreateVideo().run(torch.zeros(FRAMES, SIDE, SIDE, 3), RATE, tone(seconds=6.0))
        name = kept(SaveVideo().run(video, "long", "auto", "auto")["ui"]["images"])
        size = (folders.output / name.removesuffix(" [output]")).stat().st_size
    assert size * 10 < FRAMES * FRAME_BYTES
    return name


def limited(frames: float) -> NodeSettings:
    return NodeSettings(max_media_bytes=round(frames * FRAME_BYTES))


def test_a_film_is_decoded_within_the_limit(tmp_path: Path, film: str) -> None:
    with node_context(tmp_path, settings=limited(FRAMES)):
        images, *_ = GetVideoComponents().run(*LoadVideo().run(film))
    assert len(images) == FRAMES
    with node_context(tmp_path, settings=limited(FRAMES - 1)):
        (video,) = LoadVideo().run(film)
        with pytest.raises(MediaTooLarge, match="'max_media_memory' allows"):
            GetVideoComponents().run(video)


def test_of_a_long_film_a_part_can_be_used(tmp_path: Path, film: str) -> None:
    with node_context(tmp_path, settings=limited(FRAMES / 4)):
        (video,) = LoadVideo().run(film)
        (part,) = VideoSlice().run(video, 1.0, 1.0, False)
        images, sound, *_ = GetVideoComponents().run(part)
        assert part.get_frame_count() == len(images) == RATE
    assert sound is not None
    assert sound["waveform"].shape[-1] == pytest.approx(8000, abs=100)


def test_a_sound_is_decoded_within_the_limit(tmp_path: Path) -> None:
    sound = tone(seconds=2.0)
    with node_context(tmp_path):
        name = kept(SaveAudio().run(sound, "long")["ui"]["audio"])
    size = sound["waveform"].numel() * 4
    with node_context(tmp_path, settings=NodeSettings(max_media_bytes=size)):
        assert LoadAudio().run(name)[0]["waveform"].shape == sound["waveform"].shape
    with (
        node_context(tmp_path, settings=NodeSettings(max_media_bytes=size - 1)),
        pytest.raises(MediaTooLarge, match="use a shorter part"),
    ):
        LoadAudio().run(name)


def test_decoding_ends_when_the_prompt_is_interrupted(tmp_path: Path, film: str) -> None:
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        (video,) = LoadVideo().run(film)
        reporter.interrupted = True
        with pytest.raises(Interrupted):
            GetVideoComponents().run(video)


def test_a_sound_of_an_odd_rate_is_brought_to_another() -> None:
    hertz, rate = 440, 44101
    phase = 2 * torch.pi * hertz * torch.arange(rate, dtype=torch.float64) / rate
    made = resample(phase.sin().float()[None, None], rate, 48000)[0, 0]
    expected = (2 * torch.pi * hertz * torch.arange(48000, dtype=torch.float64) / 48000).sin()
    assert abs(made.shape[0] - 48000) <= 1
    assert (made[500:47500] - expected[500:47500]).abs().max() < 0.01


def test_a_sound_of_a_low_rate_is_not_blown_up(tmp_path: Path) -> None:
    slow: Sound = {"waveform": torch.zeros(1, 1, 1000), "sample_rate": 1}
    with (
        node_context(tmp_path, settings=NodeSettings(max_media_bytes=1_000_000)),
        pytest.raises(MediaTooLarge, match="'a sound of 1 Hz'"),
    ):
        AudioConcat().run(slow, tone(), "after")
