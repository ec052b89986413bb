"""Videos: read from files, or made of images and sound. Decoding is PyAV's."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from nodes.decoded_media import Allowance, MediaUnreadable, decoded, opened, reading
from nodes.film_colors import FilmColors, colors_of, pixels_of
from nodes.film_copies import copy_film, join_films
from nodes.film_forms import FilmForm, film_form
from nodes.sound_files import Sound, decode_samples
from nodes.video_encoding import encode_video

Source: TypeAlias = str | Path | io.BytesIO

_BYTES_A_VALUE: Final = 4  # of IMAGE: float32
_TOLERANCE: Final = 1e-6  # seconds by which sums of times are off
_TIME_BASE: Final = 1_000_000  # of a container's duration: microseconds


class VideoCodec(StrEnum):
    """How pictures are coded."""

    AUTO = "auto"
    H264 = "h264"
    AV1 = "av1"

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices of an input."""
        return [member.value for member in cls]


class VideoContainer(StrEnum):
    """What kind of file it is."""

    AUTO = "auto"
    MP4 = "mp4"
    MKV = "mkv"
    WEBM = "webm"

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices of an input."""
        return [member.value for member in cls]

    @classmethod
    def get_extension(cls, value: str | VideoContainer) -> str:
        """What the file name ends with."""
        kind = VideoContainer(value)
        return cls.MP4.value if kind == cls.AUTO else kind.value


class Crop(NamedTuple):
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, picture: Tensor) -> Tensor:
        """That part of [H, W, C]."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


@dataclass
class VideoComponents:
    """A video in memory."""

    images: Tensor  # [T, H, W, C] in 0..1
    frame_rate: Fraction
    audio: Any = None  # {"waveform": [1, C, T], "sample_rate"}; None without sound
    metadata: dict[str, Any] | None = None
    colors: FilmColors = field(default_factory=FilmColors)


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
        """Write a file to a path or a file object: MP4 with H.264 pictures unless told."""
        self.write(path, film_form(str(format), str(codec)), metadata)

    def write(self, target: Any, form: FilmForm, metadata: Mapping[str, Any] | None = None) -> None:
        """Write a file of a form to a path or a file object."""
        parts = self.get_components()
        encode_video(
            parts.images, parts.frame_rate, parts.audio, target, metadata, form, parts.colors
        )

    def get_stream_source(self) -> Any:
        """A path or file object that holds the video as a file."""
        buffer = io.BytesIO()
        self.save_to(buffer)
        buffer.seek(0)
        return buffer

    def as_trimmed(self, start_time: float = 0, duration: float = 0) -> VideoInput:
        """A part of it, in seconds; 0 is to the end."""
        parts = self.get_components()
        first = round(start_time * parts.frame_rate)
        last = first + round(duration * parts.frame_rate) if duration else None
        sound = parts.audio
        if sound is not None:
            rate = sound["sample_rate"]
            start = round(start_time * rate)
            end = start + round(duration * rate) if duration else None
            sound = {"waveform": sound["waveform"][..., start:end], "sample_rate": rate}
        images = parts.images[first:last]
        return VideoFromComponents(
            VideoComponents(images, parts.frame_rate, sound, colors=parts.colors)
        )

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


class VideoFromFile(VideoInput):
    """A video file, by path or in memory; read when it is asked for."""

    def __init__(
        self,
        file: Source,
        *,
        start_time: float = 0,
        duration: float = 0,
        crop: Crop | None = None,
    ) -> None:
        self._file = file
        self._start = start_time
        self._length = duration  # 0: to the end
        self._crop = crop  # of each picture; None: all of it

    @property
    def _name(self) -> str:
        return "the data" if isinstance(self._file, io.BytesIO) else Path(self._file).name

    def write(self, target: Any, form: FilmForm, metadata: Mapping[str, Any] | None = None) -> None:
        """As the base says; the streams of a whole file that may be kept are copied."""
        if not self.is_whole:
            super().write(target, form, metadata)
            return
        with self.opened() as container:
            if not form.keeps_pictures(container.streams.video[0]):
                super().write(target, form, metadata)
            elif all(map(form.may_hold, container.streams.audio[:1])):
                with reading(self._name):
                    copy_film(container, target, form, metadata)
            else:
                about = {**container.metadata, **(metadata or {})}
                join_films([container], self.get_sound(), target, form, about)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its file, and not a part of its time or its pictures."""
        return not (self._start or self._length or self._crop)

    def get_stream_source(self) -> Any:
        """The file itself."""
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        return self._file

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The file as PyAV opens it. Raises ValueError without pictures, and MediaUnreadable."""
        source = self._file
        if isinstance(source, io.BytesIO):
            source = io.BytesIO(source.getvalue())  # others may read it at the same time
        with opened(source, self._name) as container:
            if not container.streams.video:
                raise ValueError(f"'{self._name}' holds no video")
            yield container

    def as_trimmed(self, start_time: float = 0, duration: float = 0) -> VideoFromFile:
        """A part of it, and no more than there is: raises ValueError beyond its end."""
        total = self.get_duration()
        rest = total - start_time
        if rest <= 0:
            raise ValueError(f"nothing is left of {total:g} s from {start_time:g} s on")
        is_rest = not duration or duration >= rest
        length = (self._length and rest) if is_rest else duration
        start = self._start + start_time
        return VideoFromFile(self._file, start_time=start, duration=length, crop=self._crop)

    def as_cropped(self, crop: Crop) -> VideoFromFile:
        """A rectangle of its pictures, as far as it lies in them; a side of 0 goes to the edge.

        Raises ValueError without a pixel.
        """
        width, height = self.get_dimensions()
        left, top, *_ = self._crop or (0, 0)
        sides = (
            min(crop.width or width, width - crop.x),
            min(crop.height or height, height - crop.y),
        )
        inside = Crop(left + crop.x, top + crop.y, *sides)
        if min(crop) < 0 or min(inside.width, inside.height) < 1:
            raise ValueError(f"{crop} is no part of pictures of {width} x {height}")
        return VideoFromFile(self._file, start_time=self._start, duration=self._length, crop=inside)

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height."""
        if self._crop:
            return self._crop.width, self._crop.height
        with self.opened() as container:
            stream = container.streams.video[0]
            return stream.width, stream.height

    def get_frame_rate(self) -> Fraction:
        """Pictures a second."""
        with self.opened() as container:
            return Fraction(container.streams.video[0].average_rate or 1)

    def get_frame_count(self) -> int:
        """How many pictures there are; counted where the file does not say."""
        with self.opened() as container:
            stated = container.streams.video[0].frames
            if stated and not self._start and not self._length:
                return int(stated)
            return sum(1 for _ in self._frames(container))

    def get_duration(self) -> float:
        """Seconds."""
        if self._length:
            return self._length
        with self.opened() as container:
            if container.duration is not None:
                return max(0.0, float(container.duration / _TIME_BASE) - self._start)
        return super().get_duration()

    def get_container_format(self) -> str:
        """What kind of file it is."""
        with self.opened() as container:
            return str(container.format.name)

    def get_components(self) -> VideoComponents:
        """Pictures, rate and sound, decoded."""
        allowance = Allowance(self._name)
        pictures: list[Tensor] = []
        with self.opened() as container:
            stream = container.streams.video[0]
            rate, colors = Fraction(stream.average_rate or 1), colors_of(stream)
            for frame in self._frames(container):
                picture = pixels_of(frame, colors)
                if self._crop:
                    picture = self._crop.of(picture).clone()
                allowance.take(picture.numel() * _BYTES_A_VALUE)
                if pictures and picture.shape != pictures[0].shape:
                    raise MediaUnreadable(self._name, "its pictures change their size")
                pictures.append(picture)
        if not pictures:
            raise ValueError(f"'{self._name}' has no picture in the asked for part")
        images = torch.stack(pictures)
        pictures.clear()  # of two copies one is enough
        return VideoComponents(images.float().div_(255.0), rate, self.get_sound(), colors=colors)

    @property
    def _end(self) -> float:
        return self._start + self._length if self._length else float("inf")

    def _frames(self, container: Any) -> Iterator[Any]:
        """The pictures of the part, in the order in which they are shown."""
        import av

        stream = container.streams.video[0]
        zero = (stream.start_time or 0) * stream.time_base
        if self._start and stream.time_base:
            place = int((zero + Fraction(self._start)) / stream.time_base)
            with suppress(av.FFmpegError):  # else from the beginning
                container.seek(place, stream=stream)
        for frame in decoded(container, self._name, video=0):
            time = (frame.time or 0.0) - float(zero) + _TOLERANCE
            if time >= self._end:
                return
            if time >= self._start:
                yield frame

    def get_sound(self) -> Sound | None:
        """What is heard in the part, decoded."""
        with self.opened() as container:
            if not container.streams.audio:
                return None
            rate = int(container.streams.audio[0].rate)
            last = None if self._end == float("inf") else round(self._end * rate)
            decoded = decode_samples(container, self._name, last)
        if decoded is None:
            return None
        samples = decoded[None]
        first = round(self._start * rate)
        return {"waveform": samples[..., first:last], "sample_rate": rate}
