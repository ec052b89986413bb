"""Sound files: coding, decoding, and the rate of samples. PyAV brings FFmpeg along."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypedDict

import numpy
import torch
from torch import Tensor

from nodes.decoded_media import Allowance, MediaUnreadable, decoded, opened


class Sound(TypedDict):
    """Sounds of one rate: what AUDIO is on a link."""

    waveform: Tensor  # [B, C, T] in -1..1
    sample_rate: int


class SoundMissing(ValueError):
    """There is no sound where one is needed: the video that it would come from has none."""

    def __init__(self) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()).rstrip("."))


class NoSound(ValueError):
    """A file holds no sound that can be read."""

    def __init__(self, name: str, reason: str = "it has no sound track") -> None:
        super().__init__(f"no sound can be read from '{name}': {reason}")


# format -> container, codec
_CODECS: Final = {
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "wav": ("wav", "pcm_s16le"),
}
_MP3_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RATES: Final[Mapping[str, tuple[int, ...]]] = {  # of codecs that have not every rate
    "opus": (8000, 12000, 16000, 24000, 48000),
    "mp3": _MP3_RATES,
    "aac": (7350, *_MP3_RATES, 64000, 88200, 96000),
}


def encode_sound(
    waveform: Tensor, rate: int, format: str, quality: str, metadata: Mapping[str, str]
) -> bytes:
    """One sound [C, T] in -1..1; raises ValueError for a format that is not known."""
    import av  # loads FFmpeg: only when there is sound

    if format not in _CODECS:
        raise ValueError(f"sound cannot be saved as '{format}'; choose among {sorted(_CODECS)}")
    if not waveform.shape[-1]:
        raise ValueError("a sound without a single sample cannot be saved")
    container_name, codec = _CODECS[format]
    target_rate = fitting_rate(rate, format)
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


def fitting_rate(rate: int, codec: str) -> int:
    """The lowest rate that a codec has and that loses nothing; else its highest."""
    rates = _RATES.get(codec)
    if rates is None or rate in rates:
        return rate
    return next((known for known in rates if known >= rate), rates[-1])


def _set_quality(stream: Any, format: str, quality: str) -> None:
    if format == "mp3" and quality.upper() == "V0":
        stream.codec_context.qscale = 1  # variable rate, the best
    elif format in ("mp3", "opus"):
        stream.bit_rate = int(quality.lower().removesuffix("k")) * 1000


def read_sound(source: Path | io.BytesIO, name: str) -> Sound:
    """The first sound track of a sound or video file, at its own rate. Raises NoSound."""
    try:
        with opened(source, name) as container:
            if not container.streams.audio:
                raise NoSound(name)
            rate = int(container.streams.audio[0].rate)
            samples = decode_samples(container, name)
    except MediaUnreadable as error:
        raise NoSound(name, error.reason) from error
    if samples is None:
        raise NoSound(name, "its sound track is empty")
    return {"waveform": samples[None], "sample_rate": rate}


def decode_samples(container: Any, name: str, length: int | None = None) -> Tensor | None:
    """The samples [C, T] of an open container's first sound track; None without any.

    Decoding ends after `length` samples, with those of the last packet. Raises MediaTooLarge and
    MediaUnreadable.
    """
    import av

    resampler = av.AudioResampler(format="fltp")
    allowance = Allowance(name)
    pieces: list[Any] = []
    count = 0
    for frame in decoded(container, name, audio=0):
        for piece in resampler.resample(frame):
            pieces.append(piece.to_ndarray())
            allowance.take(pieces[-1].nbytes)
            count += piece.samples
        if length is not None and count >= length:
            break
    return torch.from_numpy(numpy.concatenate(pieces, axis=1)) if pieces else None


_ZERO_CROSSINGS: Final = 6  # of the filter, on each side
_MOST_PLACES: Final = 1_000_000  # old times new: all filters together
_ROLLOFF: Final = 0.99  # of the lower rate's limit, above which nothing is left


def _ratio(rate: int, new_rate: int) -> Fraction:
    """Of two rates; near it where the exact one would take too many filters."""
    ratio = Fraction(new_rate, rate)
    if ratio.numerator * ratio.denominator <= _MOST_PLACES:
        return ratio
    return ratio.limit_denominator(math.isqrt(int(_MOST_PLACES / ratio)))


def needed(sound: Sound | None) -> Sound:
    """The sound, where a link may bring none. Raises SoundMissing."""
    if sound is None:
        raise SoundMissing
    return sound


def same_channels(sounds: Sequence[Tensor]) -> list[Tensor]:
    """Sounds [B, C, T] of one number of channels and sounds.

    Mono ones get the channels of the others, single ones the sounds of the others. Raises
    ValueError for other numbers.
    """
    counts = [max(sound.shape[axis] for sound in sounds) for axis in (0, 1)]
    for axis, what in enumerate(("sounds", "channels")):
        for sound in sounds:
            if sound.shape[axis] not in (1, counts[axis]):
                raise ValueError(
                    f"{sound.shape[axis]} and {counts[axis]} {what} cannot be combined"
                )
    return [sound.expand(*counts, -1) for sound in sounds]


def resample(waveform: Tensor, rate: int, new_rate: int) -> Tensor:
    """Sounds [..., T] at another rate, band-limited; T becomes ceil(T * new_rate / rate).

    Interpolation with a sinc function under a Hann window (J. O. Smith, Digital Audio Resampling,
    https://ccrma.stanford.edu/~jos/resample/), with the parameters that torchaudio has. Odd rates,
    such as 44101, have their ratio off by a millionth. Raises MediaTooLarge.
    """
    if rate == new_rate or waveform.numel() == 0:
        return waveform
    new, old = _ratio(rate, new_rate).as_integer_ratio()
    made = waveform[..., :1].numel() * math.ceil(new * waveform.shape[-1] / old)
    Allowance(f"a sound of {rate} Hz").take(made * waveform.element_size())
    cutoff = min(old, new) * _ROLLOFF
    width = math.ceil(_ZERO_CROSSINGS * old / cutoff)
    # One filter for each of the `new` places that samples take between the old ones.
    places = torch.arange(0, -new, -1, dtype=torch.float64)[:, None] / new
    times = torch.arange(-width, width + old, dtype=torch.float64)[None] / old
    times = ((times + places) * cutoff).clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = torch.cos(times * math.pi / _ZERO_CROSSINGS / 2) ** 2
    filters = (torch.sinc(times) * window * (cutoff / old)).to(waveform)[:, None]
    length = waveform.shape[-1]
    flat = waveform.reshape(-1, 1, length)
    padded = torch.nn.functional.pad(flat, (width, width + old))
    found = torch.nn.functional.conv1d(padded, filters, stride=old)  # n new t
    samples = found.transpose(1, 2).reshape(*waveform.shape[:-1], -1)
    return samples[..., : math.ceil(new * length / old)]
