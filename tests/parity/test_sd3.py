"""Workflows of a small Stable Diffusion 3 with a whole text encoder and VAE, against the reference.

Those with CLIP-G, which is a large file, are marked slow.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.parity import model_cases
from tests.parity.report import ParityReport
from tests.parity.workflow import Workflow, check_case, open_workflow

AREA: Final = "models sd3"
LARGE: Final = "parity_clip_g.safetensors"


@pytest.fixture(scope="module")
def workflow(pytestconfig: pytest.Config) -> Workflow:
    return open_workflow(pytestconfig)


def needs_large_files(name: str) -> bool:
    nodes = model_cases.read(name).prompt.values()
    return any(LARGE in node["inputs"].values() for node in nodes)


def case_names() -> list[Any]:
    return [
        pytest.param(name, marks=[pytest.mark.slow] if needs_large_files(name) else [])
        for name in model_cases.names("sd3")
    ]


@pytest.mark.parametrize("name", case_names())
def test_workflow_gives_the_reference_result(
    name: str, workflow: Workflow, parity_report: ParityReport
) -> None:
    check_case(name, AREA, workflow, parity_report)
