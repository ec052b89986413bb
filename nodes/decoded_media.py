"""What of video and sound files may be opened, and how much decoded: files come from clients."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from nodes.context import NodeSettings, is_in_call, surroundings

# What FFmpeg may take a file for, by the names of its demuxers. Others read further files or
# listen to the network because the file says so: hls, dash, concat, sdp, image2 and their like.
_FORMATS: Final = (
    "mov", "matroska", "avi", "flv", "asf", "ogg", "mpegts", "mpeg", "mpegvideo", "m4v", "mxf",
    "nut", "ivf", "h264", "hevc", "av1", "obu", "gif", "apng", "webp", "webp_pipe", "png_pipe",
    "jpeg_pipe", "mjpeg", "yuv4mpegpipe", "dv", "wav", "w64", "flac", "mp3", "aac", "ac3", "eac3",
    "aiff", "au", "caf", "amr", "wv", "tta", "ape", "dsf", "opus", "truehd", "dts", "rm", "wtv",
)  # fmt: skip


class MediaUnreadable(ValueError):
    """A file is no video or sound that can be read, or damaged."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"'{name}' cannot be read as a video or sound: {reason}")
        self.reason = reason


@contextmanager
def opened(source: str | Path | io.BytesIO, name: str) -> Iterator[Any]:
    """A file as PyAV opens it. Raises MediaUnreadable; `name` is that of the file in messages."""
    import av  # loads FFmpeg: only when there is something to decode

    file = str(source) if isinstance(source, Path) else source
    options = {"format_whitelist": ",".join(_FORMATS)}
    with reading(name):
        try:
            container = av.open(file, options=options, metadata_errors="replace")
        except av.ArgumentError as error:  # what FFmpeg says of a format that is not on its list
            raise MediaUnreadable(name, "files of this format are not opened") from error
    with container:
        yield container


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Within it errors of FFmpeg have the name of the file, and not where it lies."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise MediaUnreadable(name, error.strerror or type(error).__name__) from error


def decoded(container: Any, name: str, **streams: int) -> Iterator[Any]:
    """The frames of streams of an open file (`video=0`). Raises MediaUnreadable."""
    with reading(name):
        yield from container.decode(**streams)


class MediaTooLarge(ValueError):
    """The pictures or samples of a file take more memory than may be used for them."""

    def __init__(self, name: str, most_bytes: int) -> None:
        super().__init__(
            f"what '{name}' holds takes more than the {most_bytes / 2**30:g} GB that the setting "
            "'max_media_memory' allows once it is decoded; use a shorter part of it"
        )


class Allowance:
    """What one file may take yet."""

    def __init__(self, name: str) -> None:
        settings = surroundings().settings if is_in_call() else NodeSettings()
        self._name = name
        self._most = settings.max_media_bytes
        self._taken = 0

    def take(self, count: int) -> None:
        """Bytes that are kept from now on; raises MediaTooLarge, and Interrupted."""
        self._taken += count
        if self._taken > self._most:
            raise MediaTooLarge(self._name, self._most)
        if is_in_call():
            surroundings().check_interrupted()
