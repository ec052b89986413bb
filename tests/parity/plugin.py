"""The `parity_report` fixture and the lines it prints at the end of a run, a pytest plugin.

It is no conftest.py because the process that prints these lines, where several run the tests
(pytest-xdist), collects none and so loads no conftest.py of a folder.

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
from pathlib import Path
from typing import Any

import pytest

from tests.parity.report import ParityReport

_REPORT = pytest.StashKey[ParityReport]()
_OUTPUT = "parity"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-page", help="write the results of parity cases to this file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_REPORT] = ParityReport()


@pytest.fixture(scope="session")
def parity_report(pytestconfig: pytest.Config) -> ParityReport:
    """Collects the results of parity cases; see the module's docstring."""
    return pytestconfig.stash[_REPORT]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread: tiny tensors lose more to handing over work than they gain."""
    import torch  # not before a test needs it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the results of this process to the one that prints them."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = session.config.stash[_REPORT].as_plain()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the results of a process that has ended."""
    node.config.stash[_REPORT].add_plain(getattr(node, "workeroutput", {}).get(_OUTPUT, {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    page = config.getoption("--parity-page")
    if page is not None and not hasattr(config, "workeroutput"):  # from the results of all
        Path(page).write_text(config.stash[_REPORT].page(), encoding="utf-8")
    lines = config.stash[_REPORT].lines()
    if lines:
        terminalreporter.section("parity")
        for line in lines:
            terminalreporter.write_line(line)
