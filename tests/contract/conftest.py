"""Contract tests run on the twin: nothing here depends on what a worker computes."""

from __future__ import annotations

from tests.server.conftest import busy, new_twin, place, process_place, server, twin_place

__all__ = ["busy", "new_twin", "place", "process_place", "server", "twin_place"]
