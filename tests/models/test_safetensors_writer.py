"""Files that are written tensor by tensor are those of the safetensors library."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from models.safetensors_writer import write_tensors
from models.stored import StoredTensor
from models.stored.changed import Changed
from models.stored.encoded import Plain
from models.weights import open_weights

TENSORS = {
    "half": torch.randn(3, 5).half(),
    "brain": torch.randn(7).bfloat16(),
    "single": torch.randn(2, 3),
    "eight": torch.randn(5, 3).to(torch.float8_e4m3fn),
    "number": torch.tensor(3),
    "truth": torch.tensor([True, False]),
    "none": torch.empty(0, 4),
    "kernel": torch.randn(4, 2, 3, 3).to(memory_format=torch.channels_last),
    "turned": torch.randn(3, 4).T,
}


def same(found: Tensor, wanted: Tensor) -> bool:
    return found.dtype == wanted.dtype and torch.equal(found.double(), wanted.double())


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write_tensors(path, TENSORS, {"a": "b"})
    found = load_file(path)
    assert found.keys() == TENSORS.keys()
    assert all(same(found[name], tensor) for name, tensor in TENSORS.items())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"a": "b"}
    again = open_weights(path).tensors
    assert all(same(again[name], tensor) for name, tensor in TENSORS.items())
    for name, tensor in again.items():
        assert tensor.data_ptr() % tensor.itemsize == 0, name


def test_a_file_may_hold_nothing(tmp_path: Path) -> None:
    write_tensors(tmp_path / "m.safetensors", {}, {})
    assert load_file(tmp_path / "m.safetensors") == {}


class Counting:
    """A patch that adds one, and knows how many results are there at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def apply(self, weight: Tensor) -> Tensor:
        self.now += 1
        self.most = max(self.most, self.now)
        return weight + 1


def test_weights_are_patched_when_their_turn_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = Counting()
    encoded = Changed.of(Plain(torch.zeros(2, 2)), [patch])
    tensors = {name: StoredTensor(encoded, torch.float16) for name in "abc"}

    def finished(tensor: Tensor) -> None:
        patch.now -= 1

    monkeypatch.setattr("models.safetensors_writer.release", finished)
    write_tensors(tmp_path / "m.safetensors", tensors, {})
    assert patch.most == 1
    found = load_file(tmp_path / "m.safetensors")
    assert all(torch.equal(t, torch.ones(2, 2).half()) for t in found.values())
