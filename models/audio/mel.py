"""Spectrograms in mel bands, as torchaudio and librosa define them, from torch alone."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

# Slaney's scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_LINEAR: Final = 200 / 3  # Hz a mel
_KNEE: Final = 1000.0  # Hz
_LOG_STEP: Final = math.log(6.4) / 27  # of the logarithm of the frequency, a mel


def slaney_to_hertz(mels: Tensor) -> Tensor:
    """Frequencies in Hz of places on Slaney's scale."""
    knee = _KNEE / _LINEAR
    return torch.where(mels < knee, mels * _LINEAR, _KNEE * torch.exp(_LOG_STEP * (mels - knee)))


def hertz_to_slaney(hertz: float) -> float:
    """The place of a frequency in Hz on Slaney's scale."""
    if hertz < _KNEE:
        return hertz / _LINEAR
    return _KNEE / _LINEAR + math.log(hertz / _KNEE) / _LOG_STEP


@lru_cache(maxsize=8)
def slaney_filters(bands: int, frequencies: int, sample_rate: int) -> Tensor:
    """Triangles [bands, frequencies] of area one from 0 Hz to half the rate, Slaney's norm."""
    top = hertz_to_slaney(sample_rate / 2)
    corners = slaney_to_hertz(torch.linspace(0, top, bands + 2, dtype=torch.float64))
    hertz = torch.linspace(0, sample_rate / 2, frequencies, dtype=torch.float64)
    low, middle, high = (corners[i : bands + i, None] for i in range(3))
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * 2 / (high - low)).to(torch.float32)


def log_mel(sounds: Tensor, *, sample_rate: int, window: int, hop: int, bands: int) -> Tensor:
    """The logarithm of magnitudes in mel bands, [..., 1 + T // hop, bands], of sounds [..., T].

    Windows (Hann) of `window` samples are centred on every `hop`-th sample; the sound is mirrored
    at its ends, and must be longer than half a window. Below 1e-5 all is alike.
    """
    flat = sounds.reshape(-1, sounds.shape[-1]).float()
    shape = torch.hann_window(window, device=flat.device)
    spectrum = torch.stft(
        flat, window, hop, window=shape, center=True, pad_mode="reflect", return_complex=True
    )
    filters = slaney_filters(bands, window // 2 + 1, sample_rate).to(flat.device)
    mel = (filters @ spectrum.abs()).clamp(min=1e-5).log().transpose(-1, -2)
    return mel.reshape(*sounds.shape[:-1], *mel.shape[-2:]).to(sounds.dtype)
