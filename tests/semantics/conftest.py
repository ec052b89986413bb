"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from executor.worker.contract import NodeClass
from tests.semantics.system import System


@pytest.fixture
def system(tmp_path: Path) -> Callable[..., System]:
    """Makes a system of these classes: `system(Mine=Mine)`."""

    def make(**classes: NodeClass) -> System:
        return System(tmp_path, **classes)

    return make
