"""Noise schedules and predictions against the reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from models.sampling.schedule import Schedule
from tests.parity import kinds, loader
from tests.parity.report import Check, ParityReport


@cache
def schedule(kind: str) -> Schedule:
    return kinds.build(loader.facts("model_sampling")["kinds"][kind])


def check_table(schedule: Schedule, case: loader.Case, check: Check) -> None:
    assert len(schedule.sigmas) == case["length"]
    assert schedule.sigma_min == pytest.approx(case["sigma_min"], rel=2e-5)
    assert schedule.sigma_max == pytest.approx(case["sigma_max"], rel=2e-5)
    check(schedule.sigmas[case["index"]], case["sigmas"])


def check_percent(schedule: Schedule, case: loader.Case, check: Check) -> None:
    check([schedule.percent_to_sigma(percent) for percent in case["percent"]], case["output"])


def check_timestep(schedule: Schedule, case: loader.Case, check: Check) -> None:
    check(schedule.timestep(torch.tensor(case["sigma"])), case["output"])


Formula = Callable[[Schedule, loader.Case, Tensor, Tensor, Tensor], Tensor]

FORMULAS: dict[str, Formula] = {
    "calculate_input": lambda s, case, x, y, sigma: s.scale_input(x, sigma),
    "calculate_denoised": lambda s, case, x, y, sigma: s.denoised(x, sigma, y),
    "noise_scaling": lambda s, case, x, y, sigma: s.noise_latent(y, x, sigma, case["max_denoise"]),
    "inverse_noise_scaling": lambda s, case, x, y, sigma: s.finish(x, sigma),
}


def check_formula(schedule: Schedule, case: loader.Case, check: Check) -> None:
    x, y = torch.tensor(case["x"]), torch.tensor(case["y"])
    sigma = torch.full((len(x),), case["sigma"])
    check(FORMULAS[case["what"]](schedule, case, x, y, sigma), case["output"])


CHECKS = {"table": check_table, "percent_to_sigma": check_percent, "timestep": check_timestep}


@pytest.mark.parametrize("case", loader.cases("model_sampling"), ids=lambda case: case["id"])
def test_schedule_computes_the_reference_value(
    case: loader.Case, parity_report: ParityReport
) -> None:
    with parity_report.case("model_sampling", case) as check:
        CHECKS.get(case["what"], check_formula)(schedule(case["kind"]), case, check)
