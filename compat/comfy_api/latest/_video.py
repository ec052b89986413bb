"""Videos: read from files, or made of images and sound. Decoding and encoding are PyAV's."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy
import torch
from torch import Tensor

Source: TypeAlias = str | Path | io.BytesIO

_TIME_BASE = 1_000_000  # of a container's duration: microseconds


class VideoCodec(StrEnum):
    """How pictures are coded."""

    AUTO = "auto"
    H264 = "h264"

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices of an input."""
        return [member.value for member in cls]


class VideoContainer(StrEnum):
    """What kind of file it is."""

    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices of an input."""
        return [member.value for member in cls]

    @classmethod
    def get_extension(cls, value: str | VideoContainer) -> str:
        """What the file name ends with."""
        return "mp4" if VideoContainer(value) in (cls.AUTO, cls.MP4) else ""


@dataclass
class VideoComponents:
    """A video in memory."""

    images: Tensor  # [T, H, W, C] in 0..1
    frame_rate: Fraction
    audio: Any = None  # {"waveform": [1, C, T], "sample_rate"}; None without sound
    metadata: dict[str, Any] | None = None


class VideoInput(ABC):
    """One video on a link."""

    @abstractmethod
    def get_components(self) -> VideoComponents:
        """Pictures, rate and sound."""

    def save_to(
        self,
        path: Any,
        format: VideoContainer | str = VideoContainer.AUTO,
        codec: VideoCodec | str = VideoCodec.AUTO,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an MP4 file with H.264 pictures to a path or a file object."""
        encode_video(self.get_components(), path, metadata)

    def get_stream_source(self) -> Any:
        """A path or file object that holds the video as a file."""
        buffer = io.BytesIO()
        self.save_to(buffer)
        buffer.seek(0)
        return buffer

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height."""
        images = self.get_components().images
        return images.shape[2], images.shape[1]

    def get_frame_count(self) -> int:
        """How many pictures there are."""
        return int(self.get_components().images.shape[0])

    def get_frame_rate(self) -> Fraction:
        """Pictures a second."""
        return self.get_components().frame_rate

    def get_duration(self) -> float:
        """Seconds."""
        return float(self.get_frame_count() / self.get_frame_rate())

    def get_container_format(self) -> str:
        """What kind of file it is."""
        return VideoContainer.MP4.value


class VideoFromComponents(VideoInput):
    """A video made of images and sound."""

    def __init__(self, components: VideoComponents) -> None:
        self._components = components

    def get_components(self) -> VideoComponents:
        """What it was made of."""
        return self._components


class VideoFromList(VideoFromComponents):
    """A video made of others that follow each other; the first gives rate and sound rate."""

    def __init__(self, videos: Sequence[VideoInput]) -> None:
        parts = [video.get_components() for video in videos]
        if not parts:
            raise ValueError("a video is made of at least one other")
        sounds = [part.audio for part in parts]
        audio = None
        if all(sound is not None for sound in sounds):
            waveform = torch.cat([sound["waveform"] for sound in sounds], dim=-1)
            audio = {"waveform": waveform, "sample_rate": sounds[0]["sample_rate"]}
        images = torch.cat([part.images for part in parts])
        super().__init__(VideoComponents(images, parts[0].frame_rate, audio))


class VideoFromFile(VideoInput):
    """A video file, by path or in memory; read when it is asked for."""

    def __init__(self, file: Source, *, start_time: float = 0, duration: float = 0) -> None:
        self._file = file
        self._start = start_time
        self._length = duration  # 0: to the end

    def get_stream_source(self) -> Any:
        """The file itself."""
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        return self._file

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import av

        source = self.get_stream_source()
        with av.open(str(source) if isinstance(source, Path) else source) as container:
            if not container.streams.video:
                raise ValueError(f"'{self._file}' holds no video")
            yield container

    def as_trimmed(self, start_time: float = 0, duration: float = 0) -> VideoFromFile:
        """A part of it."""
        return VideoFromFile(self._file, start_time=self._start + start_time, duration=duration)

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height."""
        with self._open() as container:
            stream = container.streams.video[0]
            return stream.width, stream.height

    def get_frame_rate(self) -> Fraction:
        """Pictures a second."""
        with self._open() as container:
            return Fraction(container.streams.video[0].average_rate or 1)

    def get_frame_count(self) -> int:
        """How many pictures there are; counted where the file does not say."""
        with self._open() as container:
            stated = container.streams.video[0].frames
        if stated and not self._start and not self._length:
            return int(stated)
        return super().get_frame_count()

    def get_duration(self) -> float:
        """Seconds."""
        if self._length:
            return self._length
        with self._open() as container:
            if container.duration is not None:
                return float(container.duration / _TIME_BASE) - self._start
        return super().get_duration()

    def get_container_format(self) -> str:
        """What kind of file it is."""
        with self._open() as container:
            return str(container.format.name)

    def get_components(self) -> VideoComponents:
        """Pictures, rate and sound, decoded."""
        end = self._start + self._length if self._length else float("inf")
        with self._open() as container:
            stream = container.streams.video[0]
            rate = Fraction(stream.average_rate or 1)
            pictures = [
                torch.from_numpy(frame.to_ndarray(format="rgb24"))
                for frame in container.decode(video=0)
                if self._start <= (frame.time or 0.0) < end
            ]
            if not pictures:
                raise ValueError(f"'{self._file}' has no picture in the asked for part")
            images = torch.stack(pictures).float() / 255.0
        return VideoComponents(images, rate, self._sound(end))

    def _sound(self, end: float) -> dict[str, Any] | None:
        import av

        with self._open() as container:
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            resampler = av.AudioResampler(format="fltp")
            pieces = [
                piece.to_ndarray()
                for frame in container.decode(audio=0)
                for piece in resampler.resample(frame)
            ]
            rate = int(stream.rate)
        if not pieces:
            return None
        samples = torch.from_numpy(numpy.concatenate(pieces, axis=1)).unsqueeze(0)
        first = round(self._start * rate)
        last = None if end == float("inf") else round(end * rate)
        return {"waveform": samples[..., first:last], "sample_rate": rate}


def encode_video(
    components: VideoComponents, target: Any, metadata: Mapping[str, Any] | None
) -> None:
    """Write an MP4 file; odd sizes lose a row or column, which H.264 cannot have."""
    import av

    images = components.images
    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    options = {"movflags": "use_metadata_tags"}
    with av.open(_av_target(target), "w", format="mp4", options=options) as container:
        for key, value in (metadata or {}).items():
            container.metadata[key] = json.dumps(value, default=str)
        rate = Fraction(round(components.frame_rate * 1000), 1000)
        stream: Any = container.add_stream("h264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound = components.audio
        sound_stream: Any = None
        if sound is not None:
            samples = sound["waveform"][0][:2].detach().float().cpu().contiguous().numpy()
            layout = "mono" if samples.shape[0] == 1 else "stereo"
            rate_hz = int(sound["sample_rate"])
            sound_stream = container.add_stream("aac", rate=rate_hz, layout=layout)
        for image in images:
            pixels = (image[:height, :width, :3].detach() * 255.0).clamp(0, 255)
            array = numpy.ascontiguousarray(pixels.to("cpu", torch.uint8).numpy())
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode(None))
        if sound_stream is not None:
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate = rate_hz
            frame.pts = 0
            container.mux(sound_stream.encode(frame))
            container.mux(sound_stream.encode(None))


def _av_target(target: Any) -> Any:
    return str(target) if isinstance(target, Path) else target
