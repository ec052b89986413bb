"""Mapped files: tensors, pages that are given back, and lifetimes."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.mapping import DTYPES, release_pages
from models.weights import open_weights


def resident_file_kib() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("RssFile")).split()[1])


def test_all_types_and_empty_tensors_come_as_they_were_saved(tmp_path: Path) -> None:
    tensors = {
        "half": torch.rand(3, 5).half(),
        "int": torch.arange(7),
        "truth": torch.tensor([True, False]),
        "small": torch.rand(4).to(torch.float8_e4m3fn),
        "empty": torch.zeros(0, 3),
        "number": torch.tensor(2.5),
    }
    save_file(tensors, tmp_path / "f.safetensors")
    opened = open_weights(tmp_path / "f.safetensors").tensors
    assert opened.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert opened[name].dtype == tensor.dtype and opened[name].shape == tensor.shape
        assert opened[name].float().equal(tensor.float())
    assert set(DTYPES) >= {"F16", "BF16", "F32", "F8_E4M3", "F8_E5M2"}


def test_pages_that_were_given_back_are_read_again(tmp_path: Path) -> None:
    values = torch.arange(8 * 2**20, dtype=torch.float32)
    save_file({"x": values}, tmp_path / "f.safetensors")
    mapped = open_weights(tmp_path / "f.safetensors").tensors["x"]
    assert mapped.sum() == values.sum()
    before = resident_file_kib()
    release_pages(mapped)
    assert resident_file_kib() < before - 30 * 1024
    assert mapped.equal(values)


def test_other_tensors_are_left_alone() -> None:
    tensor = torch.ones(2**20)
    release_pages(tensor)
    assert tensor.sum() == 2**20


@pytest.mark.filterwarnings("error")
def test_a_tensor_outlives_what_opened_its_file(tmp_path: Path) -> None:
    save_file({"x": torch.ones(3)}, tmp_path / "f.safetensors")
    tensor = open_weights(tmp_path / "f.safetensors").tensors["x"]
    (tmp_path / "f.safetensors").unlink()
    gc.collect()
    assert tensor.tolist() == [1.0, 1.0, 1.0]
