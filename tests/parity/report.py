"""Counts parity cases per area, so that a run ends with one line for each area."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike, NDArray

from tests.parity import loader

Check = Callable[[ArrayLike, NDArray[Any]], None]


_HEAD = """# Parity

Written by `make parity` from a run of all recorded cases, the slow ones included: what Darkroom
computes, compared with results of ComfyUI 0.8 (`tests/reference/`, see
[decision 003](decisions/003-parity-data.md)). Areas named `models` run whole workflows on full-size
checkpoints with random weights; their error is relative (L2), that of the others is the largest
difference of an element. Each case has its own limit, which its file states.

| Area | Cases that pass | Worst error |
|---|---|---|"""

_OPEN_CASES = ("What does not pass:", "")


@dataclass
class Area:
    """The results of one area."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)  # case id -> what is not built yet
    worst: float = 0.0  # largest difference seen, failing cases included

    def total(self) -> int:
        """How many cases the area has."""
        return len(self.passed | self.failed | set(self.missing))

    def line(self, name: str) -> str:
        """The summary line of the area."""
        passed = f"{len(self.passed)}/{self.total()}"
        text = f"parity {name}: {passed} cases pass, worst error {self.worst:.3g}"
        if self.missing:
            needs = ", ".join(sorted(set(self.missing.values())))
            text += f"; {len(self.missing)} need what is not built: {needs}"
        return text


class ParityReport:
    """Collects results; every case of a tested area must be recorded exactly once."""

    def __init__(self) -> None:
        self.areas: dict[str, Area] = {}

    def record(self, area: str, case_id: str, error: float | None, passed: bool) -> None:
        """One case's result; error is its largest difference, None where nothing was compared."""
        results = self.areas.setdefault(area, Area())
        (results.passed if passed else results.failed).add(case_id)
        results.worst = max(results.worst, error or 0.0)

    def missing(self, area: str, case_id: str, what: str) -> None:
        """A case that cannot run because what it needs is not built; counts as not passing."""
        self.areas.setdefault(area, Area()).missing[case_id] = what

    @contextmanager
    def case(self, area: str, case: loader.Case) -> Iterator[Check]:
        """Run one case and record it; the block calls the given check(actual, expected).

        A case with an `error` passes if the block raises; any other fails if it does.
        """
        errors: list[float] = []

        def check(actual: ArrayLike, expected: NDArray[Any]) -> None:
            errors.append(loader.difference(actual, expected))
            loader.compare(actual, expected, case)

        passed = False
        try:
            try:
                yield check
            except Exception:
                if "error" not in case:
                    raise
            else:
                assert "error" not in case, f"{case['id']} should fail with {case['error']}"
                assert errors, f"{case['id']} compared nothing"
            passed = True
        finally:
            self.record(area, case["id"], max(errors, default=None), passed)

    def as_plain(self) -> dict[str, Any]:
        """All results as plain data, for another process."""
        return {
            name: {
                "passed": sorted(area.passed),
                "failed": sorted(area.failed),
                "missing": area.missing,
                "worst": area.worst,
            }
            for name, area in self.areas.items()
        }

    def add_plain(self, plain: dict[str, Any]) -> None:
        """Add what another process collected."""
        for name, more in plain.items():
            area = self.areas.setdefault(name, Area())
            area.passed.update(more["passed"])
            area.failed.update(more["failed"])
            area.missing.update(more["missing"])
            area.worst = max(area.worst, more["worst"])

    def lines(self) -> list[str]:
        """The summary lines, by area."""
        return [results.line(name) for name, results in sorted(self.areas.items())]

    def page(self) -> str:
        """The results as a page of documentation."""
        rows = [
            f"| {name} | {len(area.passed)} of {area.total()} | {area.worst:.2g} |"
            for name, area in sorted(self.areas.items())
        ]
        open_cases = [
            f"- {name}, {case}: {reason}"
            for name, area in sorted(self.areas.items())
            for case, reason in [
                *((case, "differs") for case in sorted(area.failed)),
                *((case, f"needs {what}") for case, what in sorted(area.missing.items())),
            ]
        ]
        return "\n".join([_HEAD, *rows, "", *(_OPEN_CASES if open_cases else ()), *open_cases, ""])
