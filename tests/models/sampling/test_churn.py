"""Raising the noise level before steps, as its paper describes it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.sampling.guidance import CfgGuider
from models.sampling.noise import generator, prepare_noise
from models.sampling.run import run_sampler
from models.sampling.samplers import SAMPLERS, Sampler
from models.sampling.samplers.churn import MOST, Churn
from models.sampling.samplers.sampler import NoiseKind
from tests.models.sampling.toy import MeanModel, prompt

X = torch.zeros(1, 4, 8, 8)


def drawn(sigma: float, sigma_next: float) -> Tensor:
    return torch.ones_like(X)


def test_the_variance_added_is_that_between_the_levels() -> None:
    x, sigma = Churn(4.0, 0.0, math.inf, 1.0).raised(X, 2.0, 20, drawn)
    assert sigma == pytest.approx(2.0 * 1.2)
    assert torch.allclose(x**2, torch.full_like(X, sigma**2 - 4.0))


def test_no_more_noise_is_added_than_there_is() -> None:
    _, sigma = Churn(1000.0, 0.0, math.inf, 1.0).raised(X, 2.0, 20, drawn)
    assert sigma == pytest.approx(2.0 * (1 + MOST)) == pytest.approx(2.0 * math.sqrt(2))


@pytest.mark.parametrize("sigma", [0.5, 9.0])
def test_levels_outside_of_the_bounds_stay(sigma: float) -> None:
    x, level = Churn(4.0, 1.0, 8.0, 1.0).raised(X, sigma, 20, drawn)
    assert (x is X, level) == (True, sigma)


def test_a_run_goes_on_with_the_noise_that_it_began_with() -> None:
    sigmas, churn, clean = [10.0, 3.0, 1.0], 0.3, 0.4
    euler = Sampler(SAMPLERS["euler"].function, NoiseKind.CONTINUED, {"s_churn": churn})
    result = run_sampler(
        MeanModel(),
        prepare_noise(X, 7),
        sigmas,
        sampler=euler,
        guider=CfgGuider(prompt(clean), prompt(clean), 1.0),
        latent=X,
        seed=7,
    )
    source = generator(7)
    x = torch.randn(X.shape, generator=source) * 10.0
    for sigma, sigma_next in ((10.0, 3.0), (3.0, 1.0)):
        raised = sigma * (1 + churn / 2)
        fresh = torch.randn(X.shape, generator=source)
        x = x + fresh * math.sqrt(raised**2 - sigma**2)
        x = x + (x - clean) / raised * (sigma_next - raised)
    assert torch.allclose(result, x, atol=1e-5)
