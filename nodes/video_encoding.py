"""Writing films: pictures and sound coded by PyAV into MP4, Matroska and WebM files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from models.errors import InvalidInput
from nodes.context import current_context, is_in_call
from nodes.encoder_threads import encode_frame
from nodes.film_colors import FilmColors
from nodes.film_forms import FilmForm
from nodes.sound_files import fitting_rate, resample

_KEEP_METADATA: Final = {"movflags": "use_metadata_tags"}  # keys of our own too

_ENCODERS: Final = {"h264": "h264", "av1": "libsvtav1", "aac": "aac", "opus": "libopus"}

# codec -> encoder, form of pixels
_AV1_RATE: Final = 240  # pictures a second: the limit of SVT-AV1
_WEBM: Final = {"vp9": ("libvpx-vp9", "yuv420p"), "av1": ("libsvtav1", "yuv420p10le")}


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
    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    if not (len(images) and height and width):
        raise ValueError("a video takes at least one image of at least 2 x 2 pixels")
    form, colors = form or FilmForm(), colors or FilmColors()
    with film_file(target, form, metadata or {}) as container:
        stream: Any = container.add_stream(
            _ENCODERS[form.codec], rate=picture_rate(form.codec, frame_rate)
        )
        stream.bit_rate = 0  # the quality decides alone
        stream.options = {"crf": _loss(form)}
        stream.width, stream.height, stream.pix_fmt = width, height, colors.pixel_format
        colors.mark(stream.codec_context)
        finish = add_sound(container, sound, form)
        _encode_images(container, stream, images[:, :height, :width], colors)
        finish()


@contextmanager
def film_file(target: Any, form: FilmForm, metadata: Mapping[str, Any]) -> Iterator[Any]:
    """An open file of PyAV, a path or a file object, to be written."""
    import av

    options = _KEEP_METADATA if form.container == "mp4" else {}
    with av.open(_av_target(target), "w", format=form.muxer, options=options) as container:
        _add_metadata(container, metadata)
        yield container


def add_sound(
    container: Any, sound: Mapping[str, Any] | None, form: FilmForm
) -> Callable[[], None]:
    """A stream for the first sound of AUDIO, if there is one: call the result to fill it.

    All streams of a file are there before the first is filled.
    """
    import av

    if sound is None or not sound["waveform"].numel():
        return lambda: None
    rate = fitting_rate(int(sound["sample_rate"]), form.sound)
    waveform = sound["waveform"][0][:2].detach().float().cpu()
    samples = resample(waveform, int(sound["sample_rate"]), rate).contiguous().numpy()
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    stream = container.add_stream(_ENCODERS[form.sound], rate=rate, layout=layout)

    def fill() -> None:
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    return fill


def _loss(form: FilmForm) -> str:
    """As the encoder takes it: SVT-AV1 knows whole numbers alone."""
    return f"{form.crf:g}" if form.codec == "h264" else str(round(form.crf))


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
        stream: Any = container.add_stream(encoder, rate=picture_rate(codec, fps))
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


def picture_rate(codec: str, fps: Fraction | float) -> Fraction:
    """Pictures a second, to a thousandth. Raises InvalidInput for more than an encoder takes."""
    if codec == "av1" and fps > _AV1_RATE:
        raise InvalidInput(f"AV1 is coded for {_AV1_RATE} pictures a second at most, not {fps:g}")
    return Fraction(round(fps * 1000), 1000)


def _av_target(target: Any) -> Any:
    return str(target) if isinstance(target, Path) else target
