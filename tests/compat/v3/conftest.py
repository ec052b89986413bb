"""The V3 pack, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.v3.bench import V3Bench, loaded_pack


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[V3Bench]:
    """The pack's nodes, with folders of this test's own."""
    with loaded_pack() as module:
        yield V3Bench(module, tmp_path)
