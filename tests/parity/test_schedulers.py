"""Sigma lists of every scheduler against the reference."""

from __future__ import annotations

from functools import cache

import pytest

from models.sampling.schedule import Schedule
from models.sampling.schedulers import sigmas_for_run
from tests.parity import kinds, loader
from tests.parity.report import ParityReport


@cache
def schedule(kind: str) -> Schedule:
    return kinds.build(loader.facts("schedulers")["kinds"][kind])


@pytest.mark.parametrize("case", loader.cases("schedulers"), ids=lambda case: case["id"])
def test_sigmas_are_the_reference_sigmas(case: loader.Case, parity_report: ParityReport) -> None:
    with parity_report.case("schedulers", case) as check:
        sigmas = sigmas_for_run(
            schedule(case["kind"]),
            case["scheduler"],
            case["steps"],
            sampler_name=case["sampler"],
            denoise=case["denoise"],
        )
        check(sigmas, case["sigmas"])
