"""Workflows of a small Stable Diffusion 3 with a whole text encoder and VAE, against the reference.

Those with CLIP-G, which is a large file, are marked slow, and most of those that differ in the
sampler alone: samplers have cases without a model.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.parity import model_cases
from tests.parity.report import ParityReport
from tests.parity.workflow import Workflow, check_case, open_workflow

AREA: Final = "models sd3"
LARGE: Final = "parity_clip_g.safetensors"
SAMPLERS: Final = "sd3_sampler_"
QUICK_SAMPLERS: Final = {"dpmpp_2m", "dpmpp_sde", "euler_cfg_pp", "res_multistep"}


@pytest.fixture(scope="module")
def workflow(pytestconfig: pytest.Config) -> Workflow:
    return open_workflow(pytestconfig)


def is_slow(name: str) -> bool:
    if name.startswith(SAMPLERS):
        return name.removeprefix(SAMPLERS) not in QUICK_SAMPLERS
    nodes = model_cases.read(name).prompt.values()
    return any(LARGE in node["inputs"].values() for node in nodes)


def case_names() -> list[Any]:
    return [
        pytest.param(name, marks=[pytest.mark.slow] if is_slow(name) else [])
        for name in model_cases.names("sd3")
    ]


@pytest.mark.parametrize("name", case_names())
def test_workflow_gives_the_reference_result(
    name: str, workflow: Workflow, parity_report: ParityReport
) -> None:
    check_case(name, AREA, workflow, parity_report)
