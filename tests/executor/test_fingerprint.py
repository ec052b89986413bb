"""When node definitions count as the same."""

from __future__ import annotations

from pathlib import Path

from executor.fingerprint import definitions_fingerprint
from executor.worker_config import WorkerConfig


def test_leaving_nodes_out_makes_other_definitions(tmp_path: Path) -> None:
    def fingerprint(*names: str) -> str:
        return definitions_fingerprint(WorkerConfig(base=str(tmp_path), disabled_nodes=[*names]))

    assert fingerprint("A", "B") == fingerprint("B", "A")
    assert len({fingerprint(), fingerprint("A"), fingerprint("A", "B")}) == 3
