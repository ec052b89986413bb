"""What kinds of film files there are: containers, codecs, and which streams may be kept in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CODECS: Final = ["auto", "h264", "av1"]

# container -> codecs that it is given, the one that `auto` means first
_CODECS: Final[Mapping[str, tuple[str, ...]]] = {
    "mp4": ("h264", "av1"),
    "mkv": ("h264", "av1"),
    "webm": ("av1",),
}
# container -> codecs of pictures and sounds that files have in it; those of mkv are not bounded
_KEPT: Final[Mapping[str, frozenset[str]]] = {
    "mp4": frozenset({"h264", "hevc", "av1", "vp9", "aac", "mp3", "opus", "ac3", "eac3", "alac"}),
    "webm": frozenset({"vp8", "vp9", "av1", "opus", "vorbis"}),
}
_LOSSES: Final = {"h264": 23.0, "av1": 30.0}  # what is taken where none is said


@dataclass(frozen=True, kw_only=True)
class FilmForm:
    """What kind of file a film becomes."""

    container: str = "mp4"  # mp4, mkv or webm: what the file name ends with
    codec: str = "h264"  # h264 or av1, where pictures have to be coded
    crf: float = _LOSSES["h264"]  # the loss in doing so: 0 is none
    keeps: str = ""  # the codec of streams that are kept as they are; "": any, if the container may
    codes_anew: bool = False  # nothing is kept

    @property
    def muxer(self) -> str:
        """FFmpeg's name of the container."""
        return "matroska" if self.container == "mkv" else self.container

    @property
    def sound(self) -> str:
        """The codec of sounds that players expect in the container."""
        return "opus" if self.container == "webm" else "aac"

    def may_hold(self, stream: Any) -> bool:
        """Whether an open stream can be in such a file as it is."""
        return self.container == "mkv" or codec_of(stream) in _KEPT[self.container]

    def keeps_pictures(self, stream: Any) -> bool:
        """Whether the pictures of an open stream are not to be coded anew."""
        if self.codes_anew or not self.may_hold(stream):
            return False
        return self.keeps in ("", codec_of(stream))


def film_form(container: str, codec: str, crf: float | None = None) -> FilmForm:
    """The form of a container (or `auto`) and a codec (or `auto`); with a loss all is coded anew.

    Raises ValueError for what is not known, or does not go together.
    """
    if container not in ("auto", *_CODECS):
        raise ValueError(f"the format is one of auto, {', '.join(_CODECS)}, not {container!r}")
    if container == "auto":
        container = "webm" if codec == "av1" else "mp4"
    known = _CODECS[container]
    if codec not in ("auto", *known):
        raise ValueError(f"{container} files hold {' or '.join(known)}, not {codec!r}")
    chosen = known[0] if codec == "auto" else codec
    return FilmForm(
        container=container,
        codec=chosen,
        crf=_LOSSES[chosen] if crf is None else crf,
        keeps="" if codec == "auto" else codec,
        codes_anew=crf is not None,
    )


def default_loss(codec: str) -> float:
    """The loss of a codec where none is said."""
    return _LOSSES[codec]


def codec_of(stream: Any) -> str:
    """FFmpeg's name of the codec of an open stream, whichever library decodes it."""
    return str(stream.codec_context.codec.canonical_name)
