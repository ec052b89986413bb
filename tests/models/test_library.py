"""Files are loaded once, as long as they are what they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import library
from models.errors import CheckpointUnreadable
from models.library import Library
from models.load import load_checkpoint, load_unet, load_vae
from models.memory import choose_policy
from tests.models.tiny import TinyModel, save_checkpoint


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "m.safetensors")


def test_what_is_asked_for_again_is_the_same(file: Path) -> None:
    shelf = Library()
    first = shelf.fetch("list", (file,), lambda: [1])
    assert shelf.fetch("list", (file,), lambda: [2]) is first
    assert shelf.fetch("other", (file,), lambda: [2]) == [2]
    assert (len(shelf), shelf.builds) == (1, 2)


def test_a_changed_file_is_loaded_anew(file: Path) -> None:
    shelf = Library()
    shelf.fetch("list", (file,), lambda: [1])
    os.utime(file, ns=(1, 1))
    assert shelf.fetch("list", (file,), lambda: [2]) == [2]


def test_files_that_are_gone_are_let_go(file: Path, tmp_path: Path) -> None:
    shelf, other = Library(), tmp_path / "other"
    other.touch()
    shelf.fetch("list", (file,), lambda: [1])
    file.unlink()
    shelf.fetch("list", (other,), lambda: [2])
    assert len(shelf) == 1


def test_a_file_that_is_missing_is_for_the_loader_to_name(tmp_path: Path) -> None:
    policy = choose_policy(cpu=True)
    for _ in range(2):
        with pytest.raises(CheckpointUnreadable, match="there is no such file"):
            load_checkpoint(tmp_path / "none.safetensors", policy)
    assert len(policy.library) == 0


def test_errors_are_not_kept(file: Path) -> None:
    shelf = Library()

    def fail() -> int:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        shelf.fetch("number", (file,), fail)
    assert shelf.fetch("number", (file,), lambda: 3) == 3
    assert shelf.builds == 1


def test_only_so_many_are_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "MOST_ENTRIES", 2)
    shelf = Library()
    for kind in (1, 2, 1, 3):
        shelf.fetch(kind, (file,), lambda: [0])
    assert shelf.fetch(1, (file,), lambda: [9]) == [0]
    assert shelf.fetch(2, (file,), lambda: [9]) == [9]


def test_loaders_give_handles_of_their_own_on_shared_weights(file: Path) -> None:
    policy = choose_policy(cpu=True)
    first, second = (load_checkpoint(file, policy) for _ in range(2))
    assert first.model is not second.model
    assert first.model.network is second.model.network
    first.model.model_options["mine"] = True
    assert "mine" not in second.model.model_options
    assert first.text is not None and second.text is not None
    assert first.text is not second.text
    assert load_vae(file, policy).network is load_vae(file, policy).network
    assert load_unet(file, policy).network is load_unet(file, policy).network
    assert policy.library.builds == 3


def test_policies_do_not_share(file: Path) -> None:
    policy = choose_policy(cpu=True)
    assert load_vae(file, policy).network is not load_vae(file, policy.on_cpu()).network or (
        policy == policy.on_cpu()
    )
    half = choose_policy(cpu=True, force="fp16")
    assert load_vae(file, half).network.own_dtype != load_vae(file, policy).network.own_dtype


def test_a_replaced_file_is_another_model(file: Path) -> None:
    policy = choose_policy(cpu=True)
    before = load_checkpoint(file, policy).model.network
    file.unlink()
    save_checkpoint(file, TinyModel(channels=(8, 16)))
    assert load_checkpoint(file, policy).model.network.size() < before.size()
