"""Node definitions that outlive the worker: in memory now, on disk for the next start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from executor.definitions import NodeDefinition


def fingerprint(version: str, roots: Iterable[Path]) -> str:
    """A digest of the code version and of what the folders hold (path, time, size of each file)."""
    raise NotImplementedError


class Definitions:
    """The node definitions in force."""

    by_name: Mapping[str, NodeDefinition]
    fingerprint: str  # of what they were made from; "" while unknown
    revision: int  # grows with every change, so that encoded answers can be kept

    @property
    def are_known(self) -> bool:
        raise NotImplementedError

    async def wait(self, wait_s: float) -> None:
        """Wait until definitions are known; raises TimeoutError."""
        raise NotImplementedError
