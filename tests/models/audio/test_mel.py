"""Spectrograms in mel bands, against their formulas and against another library."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from models.audio.mel import hertz_to_slaney, log_mel, slaney_filters, slaney_to_hertz


@pytest.mark.parametrize(
    ("hertz", "mels"), [(0, 0), (200, 3), (1000, 15), (6400, 42), (1000 * 6.4 ** (1 / 27), 16)]
)
def test_the_scale_is_linear_to_1_khz_and_logarithmic_above(hertz: float, mels: float) -> None:
    assert hertz_to_slaney(hertz) == pytest.approx(mels)
    assert slaney_to_hertz(torch.tensor([mels], dtype=torch.float64)).item() == pytest.approx(hertz)


@pytest.mark.parametrize(("bands", "window", "rate"), [(64, 1024, 16000), (80, 400, 16000)])
def test_filters_are_those_of_transformers(bands: int, window: int, rate: int) -> None:
    expected = mel_filter_bank(
        window // 2 + 1, bands, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney"
    )
    assert torch.allclose(
        slaney_filters(bands, window // 2 + 1, rate), torch.from_numpy(expected.T).float()
    )


def test_a_spectrum_is_the_discrete_fourier_transform_of_a_windowed_part() -> None:
    generator = torch.Generator().manual_seed(0)
    sound = torch.rand(2, 300, generator=generator, dtype=torch.float64) - 0.5
    found = log_mel(sound, sample_rate=8000, window=64, hop=20, bands=8)
    assert found.shape == (2, 16, 8)
    place = 5  # a part around sample 100
    part = sound[1, 100 - 32 : 100 + 32]
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 64) for n in range(64)]
    magnitudes = [
        abs(
            sum(
                part[n].item() * window[n] * complex(math.cos(a), -math.sin(a))
                for n in range(64)
                for a in [2 * math.pi * k * n / 64]
            )
        )
        for k in range(33)
    ]
    mel = slaney_filters(8, 33, 8000).double() @ torch.tensor(magnitudes, dtype=torch.float64)
    assert torch.allclose(found[1, place].double(), mel.log(), atol=1e-3)


def test_silence_is_as_low_as_it_gets() -> None:
    found = log_mel(torch.zeros(1, 2, 2000), sample_rate=16000, window=1024, hop=160, bands=64)
    assert found.shape == (1, 2, 13, 64)
    assert torch.allclose(found, torch.tensor(1e-5).log())


def test_a_tone_is_in_the_band_of_its_pitch() -> None:
    times = torch.arange(16000) / 16000
    found = log_mel(
        torch.sin(2 * math.pi * 1000 * times), sample_rate=16000, window=1024, hop=160, bands=64
    )
    corners = torch.linspace(0, hertz_to_slaney(8000), 66)
    band = (corners[1:-1] - hertz_to_slaney(1000)).abs().argmin()
    assert (found[10:-10].argmax(dim=-1) == band).all()
