"""Formulas of guidance that the recorded cases do not reach, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from models.guidance.frequencies import scale_frequencies
from models.guidance.noise_scale import rescaled_score, scaled_epsilon
from models.guidance.projected import AdaptiveProjection, perpendicular_negative, split
from models.guidance.rescaled import limited_length


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_guidance_longer_than_the_limit_is_cut_to_it_item_by_item() -> None:
    positive = torch.stack([torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), 1.0)])
    negative = torch.stack([torch.full((1, 2, 2), 0.0), torch.full((1, 2, 2), 1.0)])
    limited = limited_length(positive, negative, cfg=3.0, limit=2.0)
    # Guided: 3 and 1 everywhere; the norms of positive are 2, so 4 is the limit of the norm.
    assert limited[0].flatten().tolist() == pytest.approx([2.0] * 4)
    assert limited[1].flatten().tolist() == pytest.approx([1.0] * 4)


def test_equal_prompts_are_guided_away_from_nothing() -> None:
    same = normal(1, 1, 4, 3, 3)
    guided = perpendicular_negative(same, same, same, cfg=7.0, neg_scale=1.0)
    assert torch.equal(guided, same)


def test_epsilon_scaling_divides_the_noise() -> None:
    clean, noise = normal(1, 1, 4, 3, 3), normal(2, 1, 4, 3, 3)
    changed = scaled_epsilon(clean + 2.0 * noise, clean, 1.25)
    assert torch.allclose(changed, clean + 2.0 * noise - 2.0 * noise / 1.25, atol=1e-6)


@pytest.mark.parametrize("is_flow", [False, True])
def test_a_rescaled_score_is_the_noise_times_the_factor_of_the_paper(is_flow: bool) -> None:
    clean, noise = normal(1, 2, 4, 3, 3), normal(2, 2, 4, 3, 3)
    sigma = torch.tensor([0.3, 0.8]).reshape(-1, 1, 1, 1)
    alpha = 1 - sigma if is_flow else torch.ones_like(sigma)
    x = alpha * clean + sigma * noise
    changed = rescaled_score(x, clean, alpha=alpha, sigma=sigma, k=0.9, width=2.0)
    for item in range(2):
        a, s = float(alpha[item]), float(sigma[item])
        snr = a * a / (s * s)
        factor = (snr * 4 + 1) / (snr * 4 / 0.9 + 1)
        expected = (x[item] - s * factor * noise[item]) / a
        assert torch.allclose(changed[item], expected, atol=1e-5)


def test_a_rescaled_score_without_noise_is_the_prediction() -> None:
    clean = normal(1, 1, 4, 3, 3)
    one, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    assert torch.equal(rescaled_score(clean, clean, alpha=one, sigma=zero, k=0.5, width=1.0), clean)
    assert torch.equal(rescaled_score(clean, clean, alpha=zero, sigma=one, k=0.5, width=1.0), clean)


def waves(frequency: int) -> Tensor:
    """A cosine of so many periods along a side of 16."""
    line = torch.cos(2 * math.pi * frequency * torch.arange(16) / 16)
    return line.expand(1, 1, 16, 16).contiguous()


@pytest.mark.parametrize(("frequency", "factor"), [(0, 0.5), (2, 0.5), (5, 2.0), (7, 2.0)])
def test_waves_are_scaled_by_their_frequency(frequency: int, factor: float) -> None:
    scaled = scale_frequencies(waves(frequency), low=0.5, high=2.0, cutoff=4)
    assert torch.allclose(scaled, waves(frequency) * factor, atol=1e-5)


def test_a_cutoff_beyond_the_spectrum_makes_all_frequencies_low() -> None:
    x = normal(1, 2, 4, 6, 10)
    assert torch.allclose(scale_frequencies(x, low=0.5, high=9.0, cutoff=100), x / 2, atol=1e-5)


def test_a_split_vector_is_parallel_and_orthogonal_as_numpy_says() -> None:
    v, along = normal(1, 2, 4, 3, 3), normal(2, 2, 4, 3, 3)
    parallel, orthogonal = split(v, along)
    for item in range(2):
        a, b = v[item].numpy().ravel(), along[item].numpy().ravel()
        expected = np.dot(a, b) / np.dot(b, b) * b
        np.testing.assert_allclose(parallel[item].numpy().ravel(), expected, atol=1e-5)
        assert abs(np.dot(orthogonal[item].numpy().ravel(), b)) < 1e-4


def test_momentum_is_forgotten_when_a_run_begins() -> None:
    projection = AdaptiveProjection(eta=1.0, norm_threshold=0.0, momentum=-0.5)
    positive, negative = normal(1, 1, 4, 3, 3), normal(2, 1, 4, 3, 3)
    first = projection.difference(positive, negative)
    second = projection.difference(positive, negative)
    projection.reset()
    assert torch.allclose(second, first * 0.5, atol=1e-5)
    assert torch.equal(projection.difference(positive, negative), first)
