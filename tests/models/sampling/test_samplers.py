"""The registry of samplers and the mathematics they share."""

from __future__ import annotations

import math

import pytest
import torch

from models.sampling.noise import brownian_noise, step_noise
from models.sampling.samplers import SAMPLERS
from models.sampling.samplers.adams import lagrange_integrals
from models.sampling.samplers.ancestral import additive_split, split_step
from models.sampling.samplers.log_snr import below_pure_noise, lambda_of, sigma_between, sigma_of
from models.sampling.samplers.sa_solver import adams_weights
from models.sampling.schedule import DiscreteSchedule, FlowSchedule, Schedule
from models.sampling.schedulers import SCHEDULERS

X = torch.zeros(1, 4, 4, 4)


def test_all_of_comfyuis_samplers_and_schedulers_are_there() -> None:
    assert len(SAMPLERS) == 44
    assert list(SAMPLERS)[:3] == ["euler", "euler_cfg_pp", "euler_ancestral"]
    assert list(SAMPLERS)[-3:] == ["ddim", "uni_pc", "uni_pc_bh2"]
    assert list(SCHEDULERS) == [
        "simple",
        "sgm_uniform",
        "karras",
        "exponential",
        "ddim_uniform",
        "beta",
        "normal",
        "linear_quadratic",
        "kl_optimal",
    ]


@pytest.mark.parametrize("schedule", [DiscreteSchedule.scaled_linear(), FlowSchedule(3.0)])
def test_lambda_and_sigma_are_inverse(schedule: Schedule) -> None:
    for sigma in (0.01, 0.5, 0.99):
        assert sigma_of(schedule, lambda_of(schedule, sigma)) == pytest.approx(sigma)
        assert sigma_between(schedule, sigma, sigma / 2, 0.0) == pytest.approx(sigma, rel=1e-5)
        assert sigma_between(schedule, sigma, sigma / 2, 1.0) == pytest.approx(sigma / 2, rel=1e-5)


def test_only_flow_schedules_move_a_first_sigma_of_one() -> None:
    assert below_pure_noise(DiscreteSchedule.scaled_linear(), [1.0, 0.5]) == [1.0, 0.5]
    moved = below_pure_noise(FlowSchedule(3.0), [1.0, 0.5])
    assert moved[0] == pytest.approx(0.99996666)
    assert moved[1] == 0.5


def test_an_ancestral_step_keeps_the_total_variance() -> None:
    step = additive_split(2.0, 1.0, eta=0.7)
    assert step.down**2 + step.up**2 == pytest.approx(1.0)
    flow = split_step(FlowSchedule(3.0), 0.8, 0.4, eta=0.7)
    assert (flow.down * flow.scale) ** 2 + flow.up**2 == pytest.approx(0.4**2)


def test_an_ancestral_step_without_eta_adds_no_noise() -> None:
    for schedule in (DiscreteSchedule.scaled_linear(), FlowSchedule(3.0)):
        step = split_step(schedule, 0.8, 0.4, eta=0.0)
        assert step.down == pytest.approx(0.4)
        assert step.up == 0.0


def test_lagrange_integrals_are_exact_for_polynomials() -> None:
    nodes = [3.0, 5.0, 9.0]
    weights = lagrange_integrals(nodes, 3.0, 1.0)
    area = sum(w * n**2 for w, n in zip(weights, nodes, strict=True))
    assert area == pytest.approx((1.0 - 27.0) / 3)


def test_adams_weights_integrate_constants_and_lines() -> None:
    h, rate = 0.7, 2.0
    weights = adams_weights([0.0, -0.5], h, rate)
    assert sum(weights) == pytest.approx(1 - math.exp(-rate * h))
    line = sum(w * n for w, n in zip(weights, [0.0, -0.5], strict=True))
    assert line == pytest.approx(h - (1 - math.exp(-rate * h)) / rate)


def test_step_noise_is_fresh_at_each_call_and_follows_the_seed() -> None:
    draw, again = step_noise(X, 7), step_noise(X, 7)
    first = draw(2.0, 1.0)
    assert torch.equal(first, again(2.0, 1.0))
    assert not torch.equal(first, draw(2.0, 1.0))
    assert torch.equal(first, torch.randn(X.shape, generator=torch.Generator().manual_seed(8)))


def test_a_brownian_path_adds_up() -> None:
    path = brownian_noise(X, [4.0, 2.0, 1.0, 0.0], seed=3)
    whole = path(4.0, 1.0) * math.sqrt(3)
    parts = path(4.0, 2.0) * math.sqrt(2) + path(2.0, 1.0)
    assert torch.allclose(whole, parts, atol=1e-5)
