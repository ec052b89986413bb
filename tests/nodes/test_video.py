"""Videos: made of images and sound, written, read, copied."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from nodes import video_files
from nodes.audio_files import SaveAudio
from nodes.context import Interrupted
from nodes.decoded_media import MediaUnreadable
from nodes.film_colors import pixels_of
from nodes.sound_files import Sound
from nodes.video import (
    CreateVideo,
    GetVideoComponents,
    LoadVideo,
    SaveVideo,
    SaveWEBM,
    VideoSlice,
)
from nodes.video_files import Crop, VideoFromFile
from nodes.video_joining import joined
from tests.nodes.context import RecordingReporter, node_context
from tests.nodes.test_audio import tone


def film(frames: int = 6, height: int = 48, width: int = 64) -> Tensor:
    """Images that become lighter."""
    shades = torch.linspace(0.2, 0.8, frames)
    return shades[:, None, None, None].expand(-1, height, width, 3).clone()


def path_of(result: dict[str, Any], base: Path) -> Path:
    (entry,) = result["ui"]["images"]
    return base.joinpath(entry["type"], entry["subfolder"], entry["filename"])


def save(video: Any, base: Path, **metadata: Any) -> Path:
    return path_of(SaveVideo().run(video, "v/film", "auto", "auto", **metadata), base)


def test_a_film_with_sound_comes_back_as_it_was(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(), 12.5, tone(rate=16000))
        path = save(video, tmp_path, prompt={"1": {}}, extra_pnginfo={"workflow": {"a": 1}})
        assert path.name == "film_00001_.mp4"
        (read,) = LoadVideo().run("v/film_00001_.mp4 [output]")
        images, sound, fps, *_ = GetVideoComponents().run(read)
    assert fps == 12.5
    torch.testing.assert_close(images, film(), atol=0.03, rtol=0)
    assert sound is not None and sound["sample_rate"] == 16000
    with av.open(str(path)) as container:
        assert json.loads(container.metadata["prompt"]) == {"1": {}}
        assert json.loads(container.metadata["workflow"]) == {"a": 1}


def test_a_silent_film_has_no_sound(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(), 8)
        save(video, tmp_path)
        (read,) = LoadVideo().run("v/film_00001_.mp4 [output]")
        assert GetVideoComponents().run(read)[1] is None


def test_a_sound_without_a_sample_makes_a_silent_film(tmp_path: Path) -> None:
    nothing: Sound = {"waveform": torch.zeros(1, 2, 0), "sample_rate": 44100}
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(), 12.5, nothing)
        path = save(video, tmp_path)
        assert GetVideoComponents().run(VideoFromFile(path))[1] is None


def test_what_is_shown_is_a_moving_picture(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(), 8)
        result = SaveVideo().run(video, "x", "auto", "auto")
    assert result["ui"]["animated"] == (True,)
    assert result["result"] == (video,)


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = container.streams.get(**{kind: 0})[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def test_a_file_that_is_right_already_is_copied_with_this_workflow(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(), 8, tone(rate=16000))
        first = save(video, tmp_path, prompt={"n": 1})
        second = save(VideoFromFile(first), tmp_path, prompt={"n": 2})
    assert second.name == "film_00002_.mp4"
    for kind in ("video", "audio"):
        assert packets(second, kind) == packets(first, kind)
    with av.open(str(second)) as container:
        assert json.loads(container.metadata["prompt"]) == {"n": 2}


def test_a_part_of_a_file_is_coded_anew(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(8), 8)
        part = VideoFromFile(save(video, tmp_path)).as_trimmed(0.25, 0.5)
        copy = VideoFromFile(save(part, tmp_path))
        assert copy.get_frame_count() == 4
        torch.testing.assert_close(copy.get_components().images, film(8)[2:6], atol=0.03, rtol=0)


@pytest.mark.parametrize(("codec", "name"), [("vp9", "vp9"), ("av1", "libdav1d")])
def test_webm_films_hold_the_images(tmp_path: Path, codec: str, name: str) -> None:
    images = film(5, height=64)
    with node_context(tmp_path):
        result = SaveWEBM().run(images, "w", codec, 10.0, 20.0, prompt={"1": {}})
        path = path_of(result, tmp_path)
        video = VideoFromFile(path)
        torch.testing.assert_close(video.get_components().images, images, atol=0.03, rtol=0)
        assert video.get_frame_rate() == Fraction(10)
    with av.open(str(path)) as container:
        assert name in container.streams.video[0].codec.name
        texts = {key.lower(): text for key, text in container.metadata.items()}
        assert json.loads(texts["prompt"]) == {"1": {}}


def test_coding_ends_when_the_prompt_is_interrupted(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter) as folders:
        with pytest.raises(Interrupted):
            SaveWEBM().run(film(), "w", "vp9", 10.0, 20.0)
        assert list(folders.output.iterdir()) == []


def test_a_file_without_pictures_says_so(tmp_path: Path) -> None:
    with node_context(tmp_path):
        entry = SaveAudio().run(tone(), "x")["ui"]["audio"][0]
        (video,) = LoadVideo().run(f"{entry['filename']} [output]")
        with pytest.raises(ValueError, match=r"'x_00001_\.flac' holds no video"):
            GetVideoComponents().run(video)


@pytest.mark.parametrize("from_file", [True, False])
def test_a_part_is_cut_from_the_start_or_the_end(tmp_path: Path, from_file: bool) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(8), 8, tone(seconds=1.0, rate=16000))
        if from_file:
            video = VideoFromFile(save(video, tmp_path))
        for start, duration, frames in ((0.25, 0.5, 4), (-0.25, 0.0, 2), (0.5, 9.0, 4)):
            (part,) = VideoSlice().run(video, start, duration, False)
            parts = part.get_components()
            assert len(parts.images) == frames
            assert parts.audio["waveform"].shape[-1] == pytest.approx(frames * 2000, abs=600)
        with pytest.raises(ValueError, match="nothing is left"):
            VideoSlice().run(video, 1.5, 0.0, False)
        with pytest.raises(ValueError, match="has no 9 s"):
            VideoSlice().run(video, 0.5, 9.0, True)


@pytest.mark.parametrize(("rate", "found"), [(50000, 64000), (192000, 96000), (7000, 7350)])
def test_sound_of_a_rate_that_the_codec_lacks_gets_another(
    tmp_path: Path, rate: int, found: int
) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(), 8, tone(rate=rate))
        sound = VideoFromFile(save(video, tmp_path)).get_components().audio
    assert sound["sample_rate"] == found
    assert sound["waveform"].shape[-1] == pytest.approx(found / 2, abs=1024)  # a frame of the codec


def test_a_video_without_pixels_is_refused(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        (video,) = CreateVideo().run(film(height=1), 8)
        with pytest.raises(ValueError, match="at least 2 x 2 pixels"):
            save(video, tmp_path)
        assert list((folders.output / "v").iterdir()) == []


def edited(path: Path, **edit: Any) -> Any:
    (video,) = LoadVideo().run(f"{path.name} [output]", edit)
    return video


def test_a_loaded_video_is_cut_and_cropped_as_the_client_says(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        (video,) = CreateVideo().run(film(8), 8)
        shown = SaveVideo().run(video, "whole", "auto", "auto")["ui"]["images"][0]
        path = folders.output / shown["subfolder"] / shown["filename"]
        whole = edited(path).get_components().images
        crop = {"x": 10, "y": 4, "width": 20, "height": 900}
        part = edited(path, trim={"start_time": 0.25, "duration": 0.5}, crop=crop)
        assert part.get_dimensions() == (20, 44)
        assert torch.equal(part.get_components().images, whole[2:6, 4:, 10:30])
        saved = VideoFromFile(save(part, tmp_path))
        assert (saved.get_dimensions(), saved.get_frame_count()) == ((20, 44), 4)
        again = part.as_trimmed(0.25).as_cropped(Crop(2, 0, 4, 4))
        assert torch.equal(again.get_components().images, whole[4:6, 4:8, 12:16])
        corner = edited(path, crop={"x": 60, "y": 40})  # what is not said goes to the edge
        assert torch.equal(corner.get_components().images, whole[:, 40:, 60:])
        for nothing in ({"x": 64}, {"y": 48, "width": 5}, {"x": -1, "width": 5, "height": 5}):
            with pytest.raises(ValueError, match="no part of pictures of 64 x 48"):
                edited(path, crop=nothing)
        with pytest.raises(ValueError, match="nothing is left"):
            part.as_trimmed(0.5)


def test_an_edit_that_is_none_is_passed_over_or_refused(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(4), 8)
        name = f"{save(video, tmp_path).name} [output]"
        name = f"v/{name}"
        for nothing in ("image", None, {}, {"crop": None, "trim": "x"}):
            (same,) = LoadVideo().run(name, nothing)
            assert isinstance(same, VideoFromFile) and same.is_whole
        with pytest.raises(ValueError, match="the crop of a video has a number as its width"):
            LoadVideo().run(name, {"crop": {"width": "much"}})


def test_an_edit_of_zeros_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        (video,) = CreateVideo().run(film(4), 8)
        SaveVideo().run(video, "whole", "auto", "auto")
        zeros = {"x": 0, "y": 0, "width": 0, "height": 0}
        same = edited(
            folders.output / "whole_00001_.mp4", trim={"start_time": 0, "duration": 0}, crop=zeros
        )
        copied = save(same, tmp_path)
    assert packets(copied, "video") == packets(folders.output / "whole_00001_.mp4", "video")


def test_a_part_of_a_part_ends_where_the_whole_does(tmp_path: Path) -> None:
    with node_context(tmp_path):
        (video,) = CreateVideo().run(film(10), 10)
        part = VideoFromFile(save(video, tmp_path)).as_trimmed(0.1, 9.0)
        assert part.get_duration() == pytest.approx(0.9)
        part = part.as_trimmed(0.2, 0.4)  # sums of such numbers are a little off
        assert (part.get_duration(), part.get_frame_count()) == (0.4, 4)
        torch.testing.assert_close(part.get_components().images, film(10)[3:7], atol=0.03, rtol=0)


def test_a_late_part_is_found_without_decoding_what_is_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = torch.rand(60, 1, 1, 3).expand(-1, 32, 32, -1)
    with node_context(tmp_path):
        path = path_of(SaveWEBM().run(frames, "w", "vp9", 10.0, 10.0), tmp_path)
        with av.open(str(path)) as container:
            keys = [packet.pts for packet in container.demux(video=0) if packet.is_keyframe]
        assert len(keys) == 1  # one group of pictures: joined with itself it has two
        twice = path_of(
            SaveVideo().run(joined([VideoFromFile(path)] * 2, "auto", None), "t", "mkv"), tmp_path
        )
        decoded: list[bool] = []

        def watched(frame: Any, colors: Any) -> Tensor:
            decoded.append(frame.key_frame)
            return pixels_of(frame, colors)

        monkeypatch.setattr(video_files, "pixels_of", watched)
        part = VideoFromFile(twice).as_trimmed(6.0, 0.2).get_components()
    assert decoded == [True, False]
    torch.testing.assert_close(part.images, frames[:2], atol=0.03, rtol=0)


def test_a_file_that_is_no_film_is_named_and_not_where_it_lies(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        (folders.input / "text.mp4").write_bytes(b"no film at all " * 100)
        (read,) = LoadVideo().run("text.mp4")
        with pytest.raises(MediaUnreadable, match=r"^'text\.mp4' cannot be read as a video"):
            read.get_components()


def test_labels_in_other_encodings_are_passed_over(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        (video,) = CreateVideo().run(film(), 8)
        path = save(video, tmp_path, extra_pnginfo={"workflow": "label"})
        content = path.read_bytes().replace(b'"label"', b'"l\xe4bel"')
        (folders.input / "label.mp4").write_bytes(content)
        (read,) = LoadVideo().run("label.mp4")
        assert read.get_frame_count() == 6
