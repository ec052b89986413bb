"""Writing films: pictures and sound coded by PyAV into MP4 and WebM files, or copied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from nodes.context import current_context, is_in_call
from nodes.encoder_threads import encode_frame
from nodes.film_colors import FilmColors
from nodes.sound_files import fitting_rate, resample

_KEEP_METADATA: Final = {"movflags": "use_metadata_tags"}  # keys of our own too

# container -> codecs, the one that `auto` means first
_CODECS: Final[Mapping[str, tuple[str, ...]]] = {
    "mp4": ("h264", "av1"),
    "mkv": ("h264", "av1"),
    "webm": ("av1",),
}
_ENCODERS: Final = {"h264": "h264", "av1": "libsvtav1", "aac": "aac", "opus": "libopus"}
_AV1_LOSS: Final = 30.0

# codec -> encoder, form of pixels
_WEBM: Final = {"vp9": ("libvpx-vp9", "yuv420p"), "av1": ("libsvtav1", "yuv420p10le")}


@dataclass(frozen=True, kw_only=True)
class FilmForm:
    """What kind of file a film becomes."""

    container: str = "mp4"  # mp4, mkv or webm: what the file name ends with
    codec: str = "h264"  # h264 or av1
    crf: float | None = None  # the loss: 0 is none; None: what the encoder takes by itself

    @property
    def muxer(self) -> str:
        """FFmpeg's name of the container."""
        return "matroska" if self.container == "mkv" else self.container

    @property
    def sound(self) -> str:
        """The codec of sounds that players expect in the container."""
        return "opus" if self.container == "webm" else "aac"


def film_form(container: str, codec: str) -> FilmForm:
    """The form of a container (or `auto`) and a codec (or `auto`).

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
    return FilmForm(container=container, codec=chosen, crf=_AV1_LOSS if chosen == "av1" else None)


def copy_streams(source: Any, target: Any, metadata: Mapping[str, Any] | None) -> None:
    """Write the pictures and sound of an open container into an MP4 file as they are coded."""
    import av

    with av.open(_av_target(target), "w", format="mp4", options=_KEEP_METADATA) as container:
        _add_metadata(container, {**source.metadata, **(metadata or {})})
        kept = [*source.streams.video[:1], *source.streams.audio[:1]]
        copies = {stream.index: container.add_stream_from_template(stream) for stream in kept}
        for packet in source.demux(kept):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                container.mux(packet)


def encode_video(
    images: Tensor,
    frame_rate: Fraction,
    sound: Mapping[str, Any] | None,
    target: Any,
    metadata: Mapping[str, Any] | None,
    form: FilmForm | None = None,
    colors: FilmColors | None = None,
) -> None:
    """Write images [T, H, W, C] in 0..1 and a sound as a file, MP4 with H.264 unless told.

    Odd sizes lose a row or column, which these codecs cannot have.
    """
    import av

    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    if not (len(images) and height and width):
        raise ValueError("a video takes at least one image of at least 2 x 2 pixels")
    form, colors = form or FilmForm(), colors or FilmColors()
    options = _KEEP_METADATA if form.container == "mp4" else {}
    with av.open(_av_target(target), "w", format=form.muxer, options=options) as container:
        _add_metadata(container, metadata or {})
        stream: Any = container.add_stream(_ENCODERS[form.codec], rate=_rate(frame_rate))
        if form.crf is not None:
            stream.bit_rate = 0  # the quality decides alone
            stream.options = {"crf": str(round(form.crf))}
        stream.width, stream.height, stream.pix_fmt = width, height, colors.pixel_format
        colors.mark(stream.codec_context)
        sound_stream: Any = None
        if sound is not None and sound["waveform"].numel():
            rate_hz = fitting_rate(int(sound["sample_rate"]), form.sound)
            waveform = sound["waveform"][0][:2].detach().float().cpu()
            waveform = resample(waveform, int(sound["sample_rate"]), rate_hz)
            samples = waveform.contiguous().numpy()
            layout = "mono" if samples.shape[0] == 1 else "stereo"
            sound_stream = container.add_stream(_ENCODERS[form.sound], rate=rate_hz, layout=layout)
        _encode_images(container, stream, images[:, :height, :width], colors)
        if sound_stream is not None:
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate = rate_hz
            frame.pts = 0
            container.mux(sound_stream.encode(frame))
            container.mux(sound_stream.encode(None))


def encode_webm(
    images: Tensor,
    target: Any,
    *,
    codec: str,
    fps: float,
    crf: float,
    metadata: Mapping[str, Any],
) -> None:
    """Write images [T, H, W, C] as a WebM film; `codec` is vp9 or av1, `crf` 0 (best) to 63."""
    import av

    encoder, pixels = _WEBM[codec]
    with av.open(_av_target(target), "w", format="webm") as container:
        _add_metadata(container, metadata)
        stream: Any = container.add_stream(encoder, rate=_rate(fps))
        stream.width, stream.height = images.shape[2], images.shape[1]
        stream.pix_fmt = pixels
        stream.bit_rate = 0  # the quality decides alone
        stream.options = {"crf": str(round(crf))}
        _encode_images(container, stream, images, FilmColors())


def _encode_images(container: Any, stream: Any, images: Tensor, colors: FilmColors) -> None:
    for image in images:
        if is_in_call():
            current_context().check_interrupted()
        rgb = image[..., :3] if image.shape[-1] > 1 else image.expand(-1, -1, 3)
        container.mux(encode_frame(stream, colors.frame(rgb)))
    container.mux(stream.encode(None))


def _add_metadata(container: Any, metadata: Mapping[str, Any]) -> None:
    for key, value in metadata.items():
        container.metadata[key] = (
            value if isinstance(value, str) else json.dumps(value, default=str)
        )


def _rate(fps: Fraction | float) -> Fraction:
    return Fraction(round(fps * 1000), 1000)


def _av_target(target: Any) -> Any:
    return str(target) if isinstance(target, Path) else target
