"""Initial noise against the reference."""

from __future__ import annotations

import pytest
import torch

from models.sampling.noise import prepare_noise
from tests.parity import loader
from tests.parity.report import ParityReport


@pytest.mark.parametrize("case", loader.cases("noise"), ids=lambda case: case["id"])
def test_initial_noise_is_the_reference_noise(
    case: loader.Case, parity_report: ParityReport
) -> None:
    with parity_report.case("noise", case) as check:
        latent = torch.zeros(case["shape"], dtype=getattr(torch, case["dtype"]))
        check(prepare_noise(latent, case["seed"], case["batch_index"]).float(), case["output"])
