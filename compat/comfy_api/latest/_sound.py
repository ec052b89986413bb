"""Sound as a file in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

# format -> container, codec
_CODECS: Final = {
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "wav": ("wav", "pcm_s16le"),
}
_OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)
_MP3_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def encode_sound(
    waveform: Tensor, rate: int, format: str, quality: str, metadata: Mapping[str, str]
) -> bytes:
    """One sound [C, T] in -1..1; raises ValueError for a format that is not known."""
    import av  # loads ffmpeg: only when there is sound

    if format not in _CODECS:
        raise ValueError(f"sound cannot be saved as '{format}'; choose among {sorted(_CODECS)}")
    if not waveform.shape[-1]:
        raise ValueError("a sound without a single sample cannot be saved")
    container_name, codec = _CODECS[format]
    target_rate = _fitting_rate(rate, format)
    buffer = io.BytesIO()
    layout = "mono" if waveform.shape[0] == 1 else "stereo"
    with av.open(buffer, "w", format=container_name) as container:
        container.metadata.update(metadata)
        stream: Any = container.add_stream(codec, rate=target_rate, layout=layout)
        _set_quality(stream, format, quality)
        samples = waveform[:2].detach().to("cpu", torch.float32).contiguous().numpy()
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout=layout, rate=target_rate
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _fitting_rate(rate: int, format: str) -> int:
    """The lowest rate that the codec has and that loses nothing."""
    rates = {"opus": _OPUS_RATES, "mp3": _MP3_RATES}.get(format)
    if rates is None or rate in rates:
        return rate
    return next((known for known in rates if known >= rate), rates[-1])


def _set_quality(stream: Any, format: str, quality: str) -> None:
    if format == "mp3" and quality.upper() == "V0":
        stream.codec_context.qscale = 1  # variable rate, the best
    elif format in ("mp3", "opus"):
        stream.bit_rate = int(quality.lower().removesuffix("k")) * 1000
