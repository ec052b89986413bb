"""Videos and sounds that would have FFmpeg read other files, or listen to the network."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from nodes.audio_files import LoadAudio
from nodes.decoded_media import MediaUnreadable
from nodes.sound_files import NoSound
from nodes.video import LoadVideo
from nodes.video_files import VideoComponents, VideoFromComponents, VideoFromFile
from tests.nodes.context import node_context

SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A base folder, and a film that lies outside of it and beside it in the input folder."""
    with node_context(tmp_path / "base"):
        sound = {"waveform": torch.zeros(1, 1, 4800), "sample_rate": 48000}
        parts = VideoComponents(torch.rand(3, 32, 32, 3), Fraction(8), sound)
        for folder in (tmp_path, tmp_path / "base" / "input"):
            VideoFromComponents(parts).save_to(folder / "secret.mp4")
        yield tmp_path


def playlist(place: str) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", place, "#EXT-X-ENDLIST", ""]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
@pytest.mark.parametrize("kind", ["playlist", "near playlist", "script", "session"])
def test_a_file_that_names_others_is_not_opened(base: Path, name: str, kind: str) -> None:
    content = {
        "playlist": playlist(f"file://{base}/secret.mp4"),
        "near playlist": playlist("secret.mp4"),
        "script": b"ffconcat version 1.0\nfile secret.mp4\n",
        "session": SDP,
    }[kind]
    (base / "base" / "input" / name).write_bytes(content)
    (video,) = LoadVideo().run(name)
    with pytest.raises(MediaUnreadable) as refused:
        video.get_components()
    assert str(base) not in str(refused.value)
    with pytest.raises(NoSound):
        LoadAudio().run(name)


def test_a_file_of_the_folder_itself_is_opened(base: Path) -> None:
    (video,) = LoadVideo().run("secret.mp4")
    assert video.get_frame_count() == 3


def test_a_pattern_is_no_name_of_several_files(base: Path) -> None:
    for number in (1, 2):
        source = base / "secret.mp4"
        (base / "base" / "input" / f"{number:03}.mp4").write_bytes(source.read_bytes())
    (base / "base" / "input" / "%03d.png").write_bytes(b"nothing")
    (video,) = LoadVideo().run("%03d.png")
    with pytest.raises(MediaUnreadable):
        video.get_components()


def test_data_opens_no_socket(base: Path) -> None:
    url = f"data:video/mp4;base64,{base64.b64encode(SDP).decode()}"
    (video,) = LoadVideo().run(url)
    assert isinstance(video, VideoFromFile)
    with pytest.raises(MediaUnreadable, match="not opened"):
        video.get_dimensions()
