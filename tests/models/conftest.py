"""A tiny checkpoint, loaded once for all tests that do not change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.load import Checkpoint, load_checkpoint
from models.memory import Policy, choose_policy
from models.text.handle import TextHandle
from models.vae import VaeHandle
from tests.models.tiny import save_checkpoint


@pytest.fixture(scope="session")
def policy() -> Policy:
    return choose_policy(cpu=True)


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors")


@pytest.fixture(scope="session")
def tiny(tiny_file: Path, policy: Policy) -> Checkpoint:
    return load_checkpoint(tiny_file, policy)


@pytest.fixture(scope="session")
def text(tiny: Checkpoint) -> TextHandle:
    assert tiny.text is not None
    return tiny.text


@pytest.fixture(scope="session")
def vae(tiny: Checkpoint) -> VaeHandle:
    assert isinstance(tiny.vae, VaeHandle)
    return tiny.vae
