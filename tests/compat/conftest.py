"""A process that is set up as a worker's is, before any test module imports host names."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from executor.file_options import FileOptionLists
from executor.folders import Folders
from executor.worker_config import WorkerConfig
from models.memory import choose_policy
from nodes.context import Services, use_files, use_services

_BASE = Path(tempfile.mkdtemp(prefix="darkroom-compat-"))
atexit.register(shutil.rmtree, _BASE, ignore_errors=True)
_FOLDERS = Folders.build(_BASE)
use_files(FileOptionLists(_FOLDERS))
use_services(
    Services(
        folders=_FOLDERS,
        model_policy=choose_policy(cpu=True),
        flags=msgspec.structs.asdict(WorkerConfig(base=str(_BASE), cpu=True)),
    )
)


@pytest.fixture
def folders() -> Iterator[Folders]:
    """The empty folders of this process."""
    shutil.rmtree(_BASE)
    _FOLDERS.make()
    before = (_FOLDERS.input, _FOLDERS.output, _FOLDERS.temp, _FOLDERS.user)
    yield _FOLDERS
    _FOLDERS.input, _FOLDERS.output, _FOLDERS.temp, _FOLDERS.user = before
