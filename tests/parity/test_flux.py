"""Flux workflows on a network with one block of each kind, of full width, against the reference."""

from __future__ import annotations

import pytest

from tests.parity import model_cases
from tests.parity.report import ParityReport
from tests.parity.workflow import Workflow, check_case, open_workflow


@pytest.fixture(scope="module")
def workflow(pytestconfig: pytest.Config) -> Workflow:
    return open_workflow(pytestconfig)


@pytest.mark.parametrize("name", model_cases.names("flux"))
def test_workflow_gives_the_reference_result(
    name: str, workflow: Workflow, parity_report: ParityReport
) -> None:
    check_case(name, "models flux", workflow, parity_report)
