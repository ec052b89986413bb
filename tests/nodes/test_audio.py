"""Sounds: made, changed, read from and written to real files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from nodes.audio import (
    AudioAdjustVolume,
    AudioConcat,
    AudioMerge,
    EmptyAudio,
    JoinAudioChannels,
    SplitAudioChannels,
    TrimAudioDuration,
)
from nodes.audio_files import (
    LoadAudio,
    PreviewAudio,
    RecordAudio,
    SaveAudio,
    SaveAudioAdvanced,
    SaveAudioMP3,
    SaveAudioOpus,
)
from nodes.decoded_media import MediaTooLarge
from nodes.sound_files import NoSound, Sound, SoundMissing, resample
from tests.nodes.context import node_context

RATE = 8000


def tone(hertz: float = 440, seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> Sound:
    """A sine of half the greatest loudness."""
    times = torch.arange(round(seconds * rate)) / rate
    wave = 0.5 * torch.sin(2 * math.pi * hertz * times)
    return {"waveform": wave.expand(1, channels, -1).clone(), "sample_rate": rate}


def level(value: float, samples: int, channels: int = 1, rate: int = RATE) -> Sound:
    return {"waveform": torch.full((1, channels, samples), value), "sample_rate": rate}


def wave(sound: Sound) -> list[Any]:
    values: list[Any] = sound["waveform"][0].tolist()
    return values


def test_silence_lasts_as_long_as_asked_for() -> None:
    (sound,) = EmptyAudio().run(0.25, 1000, 2)
    assert sound["waveform"].shape == (1, 2, 250)
    assert sound["sample_rate"] == 1000


def test_silence_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(MediaTooLarge, match="'this silence'"):
        EmptyAudio().run(1e12, 192000, 2)


def test_where_a_video_has_no_sound_the_nodes_for_sounds_say_so(tmp_path: Path) -> None:
    silent: Any = None
    calls: list[Callable[[], object]] = [
        lambda: AudioAdjustVolume().run(silent, 1),
        lambda: AudioConcat().run(level(1, 2), silent, "after"),
        lambda: TrimAudioDuration().run(silent, 0.0, 1.0),
        lambda: SaveAudio().run(silent),
    ]
    with node_context(tmp_path):
        for call in calls:
            with pytest.raises(SoundMissing, match="no sound where one is needed"):
                call()


def test_a_single_sound_is_combined_with_each_of_several() -> None:
    both: Sound = {"waveform": torch.arange(4.0).reshape(2, 1, 2), "sample_rate": RATE}
    (sound,) = AudioConcat().run(both, level(9, 1), "after")
    assert sound["waveform"].tolist() == [[[0, 1, 9]], [[2, 3, 9]]]
    three: Sound = {"waveform": torch.zeros(3, 1, 2), "sample_rate": RATE}
    with pytest.raises(ValueError, match="2 and 3 sounds cannot be combined"):
        AudioConcat().run(both, three, "after")


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [(0, 0.3, [0, 1, 2]), (0.2, 9, [2, 3, 4]), (-0.2, 0.1, [3]), (-9, 0.2, [0, 1])],
)
def test_a_sound_is_cut_from_its_start_or_its_end(
    start: float, duration: float, expected: list[int]
) -> None:
    sound: Sound = {"waveform": torch.arange(5.0).reshape(1, 1, 5), "sample_rate": 10}
    assert wave(TrimAudioDuration().run(sound, start, duration)[0]) == [expected]


@pytest.mark.parametrize(("start", "duration"), [(0.5, 1), (0, 0), (7, 1)])
def test_an_empty_part_of_a_sound_is_refused(start: float, duration: float) -> None:
    with pytest.raises(ValueError, match=r"it lasts 0\.5 s"):
        TrimAudioDuration().run(level(1, 5, rate=10), start, duration)


def test_sides_of_a_sound_are_split_and_joined() -> None:
    both: Sound = {"waveform": torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), "sample_rate": 10}
    left, right = SplitAudioChannels().run(both)
    assert (wave(left), wave(right)) == ([[1, 2]], [[3, 4]])
    assert wave(JoinAudioChannels().run(left, right)[0]) == wave(both)
    with pytest.raises(ValueError, match="only stereo"):
        SplitAudioChannels().run(left)


def test_sounds_follow_each_other_with_as_many_channels_as_either() -> None:
    mono, stereo = level(0.1, 2), level(0.2, 1, channels=2)
    after = AudioConcat().run(mono, stereo, "after")[0]["waveform"]
    before = AudioConcat().run(mono, stereo, "before")[0]["waveform"]
    torch.testing.assert_close(after[0], torch.tensor([[0.1, 0.1, 0.2]] * 2))
    torch.testing.assert_close(before[0], torch.tensor([[0.2, 0.1, 0.1]] * 2))


def test_sounds_of_different_rates_take_the_higher_one() -> None:
    (sound,) = AudioConcat().run(level(0, 100, rate=8000), level(0, 100, rate=16000), "after")
    assert sound["sample_rate"] == 16000
    assert sound["waveform"].shape[-1] == 300


@pytest.mark.parametrize(
    ("method", "expected"),
    [("add", 0.75), ("mean", 0.375), ("subtract", 0.25), ("multiply", 0.125)],
)
def test_sounds_are_laid_over_each_other(method: str, expected: float) -> None:
    (sound,) = AudioMerge().run(level(0.5, 3), level(0.25, 2), method)
    alone = 0.0 if method == "multiply" else 0.25 if method == "mean" else 0.5
    assert wave(sound) == [[expected, expected, alone]]


def test_what_would_be_too_loud_is_turned_down() -> None:
    (sound,) = AudioMerge().run(level(1.0, 2), level(0.5, 1), "add")
    torch.testing.assert_close(sound["waveform"][0, 0], torch.tensor([1.0, 2 / 3]))


def test_volume_is_in_decibels() -> None:
    (sound,) = AudioAdjustVolume().run(level(0.5, 1), -20)
    torch.testing.assert_close(sound["waveform"].max(), torch.tensor(0.05))


@pytest.mark.parametrize("new_rate", [4000, 11024, 16000, 44100])
def test_a_tone_keeps_its_pitch_and_loudness_at_another_rate(new_rate: int) -> None:
    found = resample(tone(300)["waveform"], RATE, new_rate)
    expected = tone(300, rate=new_rate)["waveform"]
    assert found.shape == expected.shape
    inner = slice(new_rate // 20, -new_rate // 20)  # the edges ring
    torch.testing.assert_close(found[..., inner], expected[..., inner], atol=2e-3, rtol=0)


def test_what_a_lower_rate_cannot_have_is_gone() -> None:
    found = resample(tone(3000)["waveform"], RATE, 4000)
    assert found[..., 200:-200].abs().max() < 0.02


def saved(result: dict[str, Any], base: Path) -> Path:
    (entry,) = result["ui"]["audio"]
    return base.joinpath(entry["type"], entry["subfolder"], entry["filename"])


def test_flac_keeps_every_sample_and_the_workflow(tmp_path: Path) -> None:
    sound = tone(channels=2)
    with node_context(tmp_path):
        result = SaveAudio().run(sound, "a/b", prompt={"1": {}}, extra_pnginfo={"workflow": 2})
        path = saved(result, tmp_path)
        assert path.name == "b_00001_.flac"
        with av.open(str(path)) as container:
            texts = {key.lower(): text for key, text in container.metadata.items()}
        assert (json.loads(texts["prompt"]), texts["workflow"]) == ({"1": {}}, "2")
        (read,) = LoadAudio().run(f"a/{path.name} [output]")
    assert read["sample_rate"] == RATE
    torch.testing.assert_close(read["waveform"], sound["waveform"], atol=2**-15, rtol=0)
    assert result["result"] == (sound,)


def _correlation(first: Tensor, second: Tensor) -> float:
    """The greatest likeness of two sounds, whatever delay a codec adds."""
    length = min(len(first), len(second))
    a, b = torch.fft.rfft(first[:length]), torch.fft.rfft(second[:length])
    likeness = torch.fft.irfft(a * b.conj(), n=length).max()
    return float(likeness / (first[:length].norm() * second[:length].norm()))


@pytest.mark.parametrize(
    ("node", "quality", "suffix", "rate"),
    [(SaveAudioMP3, "V0", ".mp3", 8000), (SaveAudioOpus, "64k", ".opus", 8000)],
)
def test_lossy_files_sound_alike(
    tmp_path: Path, node: type[Any], quality: str, suffix: str, rate: int
) -> None:
    sound = tone()
    with node_context(tmp_path):
        path = saved(node().run(sound, "x", quality), tmp_path)
        (read,) = LoadAudio().run(f"{path.name} [output]")
    assert path.suffix == suffix
    found = resample(read["waveform"], read["sample_rate"], rate)[0, 0]
    assert _correlation(found, sound["waveform"][0, 0]) > 0.95


def test_the_advanced_saver_takes_the_quality_of_its_format(tmp_path: Path) -> None:
    sound = tone()
    with node_context(tmp_path):
        flat = {"audio": sound, "filename_prefix": "x", "format": "mp3", "format.quality": "128k"}
        assert saved(SaveAudioAdvanced().run_flat(**flat), tmp_path).name == "x_00001_.mp3"
        flat = {"audio": sound, "filename_prefix": "x", "format": "flac"}
        assert saved(SaveAudioAdvanced().run_flat(**flat), tmp_path).name == "x_00002_.flac"


def test_every_sound_of_a_batch_gets_a_file_of_its_own(tmp_path: Path) -> None:
    pair: Sound = {"waveform": torch.zeros(2, 1, 100), "sample_rate": RATE}
    with node_context(tmp_path):
        names = [x["filename"] for x in PreviewAudio().run(pair)["ui"]["audio"]]
        assert len(names) == 2
        assert all((tmp_path / "temp" / name).is_file() for name in names)


def test_a_recording_is_read_by_its_name(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        path = saved(SaveAudio().run(tone(), "x"), tmp_path)
        path.rename(folders.input / "recording.flac")
        assert RecordAudio().run("recording.flac")[0]["waveform"].shape == (1, 1, RATE // 2)


def test_a_file_without_sound_says_so(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        (folders.input / "text.flac").write_bytes(b"no sound")
        with pytest.raises(NoSound, match=r"no sound can be read from 'text.flac'"):
            LoadAudio().run("text.flac")
