"""A tiny checkpoint as a pack's loader gives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfy import sd

from models.handle import ModelHandle
from models.text.handle import TextHandle
from models.vae import VaeHandle
from tests.models.tiny import save_checkpoint

Loaded = tuple[ModelHandle, TextHandle, VaeHandle]


@pytest.fixture(scope="session")
def checkpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors")


@pytest.fixture(scope="session")
def loaded(checkpoint_file: Path) -> Loaded:
    model, clip, vae, vision = sd.load_checkpoint_guess_config(str(checkpoint_file))
    assert model is not None and clip is not None and vision is None
    assert isinstance(vae, VaeHandle)
    return model, clip, vae


@pytest.fixture
def model(loaded: Loaded) -> ModelHandle:
    return loaded[0].clone()


@pytest.fixture
def clip(loaded: Loaded) -> TextHandle:
    return loaded[1].clone()


@pytest.fixture
def vae(loaded: Loaded) -> VaeHandle:
    return loaded[2]
