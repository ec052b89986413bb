"""The `parity_report` fixture and the lines it prints at the end of a run.

A parity test runs one case and records it in one of two ways:

    with parity_report.case("noise", case) as check:    # handles failures and expected errors
        check(my_result(case), case["output"])

    parity_report.record("tokens", case["id"], error, passed)    # or by hand, before asserting

`parity_report.missing(area, case_id, what)` is for a case that cannot run because something is
not built; it counts as not passing. Every case of a tested area is recorded, and the run ends
with `parity AREA: P/N cases pass, worst error E` for each area.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.parity.report import ParityReport

_REPORT = pytest.StashKey[ParityReport]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORT] = ParityReport()


@pytest.fixture(scope="session")
def parity_report(pytestconfig: pytest.Config) -> ParityReport:
    """Collects the results of parity cases; see the module's docstring."""
    return pytestconfig.stash[_REPORT]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread: tiny tensors lose more to handing over work than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash[_REPORT].lines()
    if lines:
        terminalreporter.section("parity")
        for line in lines:
            terminalreporter.write_line(line)
