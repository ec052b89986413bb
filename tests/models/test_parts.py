from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.devices import HOME
from models.errors import CheckpointUnreadable
from models.network import Network, assemble
from models.parts import Part, parts_of_conversion


class Split(nn.Module):
    """Two layers that files have as one, and one whose halves files have in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.swapped = (nn.Linear(3, 2) for _ in range(3))


def convert(file: dict[str, Tensor]) -> dict[str, Tensor]:
    converted: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        converted[f"q.{kind}"], converted[f"k.{kind}"] = file[f"qk.{kind}"].chunk(2)
        first, second = file[f"last.{kind}"].chunk(2)
        converted[f"swapped.{kind}"] = torch.cat([second, first])
    return converted


@dataclass(frozen=True)
class Number:
    """A patch that multiplies each row by its number."""

    def apply(self, weight: Tensor) -> Tensor:
        return weight * torch.arange(len(weight)).reshape(-1, *[1] * (weight.ndim - 1))


@pytest.fixture
def file() -> dict[str, Tensor]:
    return {
        "qk.weight": torch.arange(12.0).reshape(4, 3),
        "qk.bias": torch.arange(4.0),
        "last.weight": -torch.arange(6.0).reshape(2, 3),
        "last.bias": -torch.arange(2.0),
    }


@pytest.fixture
def network(file: dict[str, Tensor]) -> Network[Split]:
    parts = parts_of_conversion(convert, file)
    return assemble(Split, file, torch.float32, Path("f"), parts=parts)


def is_converted(network: Network[Split], file: dict[str, Tensor]) -> bool:
    found = network.module.state_dict()
    return all(torch.equal(found[name], value) for name, value in convert(file).items())


def test_a_conversion_is_known_by_the_rows_that_it_takes(file: dict[str, Tensor]) -> None:
    parts = parts_of_conversion(convert, file)
    assert parts["k.weight"] == Part("qk.weight", ((2, 4),))
    assert parts["swapped.bias"] == Part("last.bias", ((1, 2), (0, 1)))


def test_a_whole_weight_is_no_rows() -> None:
    parts = parts_of_conversion(lambda file: {"new": file["old"]}, {"old": torch.zeros(3, 2)})
    assert parts == {"new": Part("old")}


def test_parameters_are_parts_of_weights(network: Network[Split], file: dict[str, Tensor]) -> None:
    assert is_converted(network, file)
    assert network.names() == ["qk.weight", "qk.bias", "last.weight", "last.bias"]


def test_rows_of_a_weight_of_the_right_type_are_no_copies(
    network: Network[Split], file: dict[str, Tensor]
) -> None:
    start = file["qk.weight"].data_ptr()
    assert network.module.q.weight.data_ptr() == start
    assert network.module.k.weight.data_ptr() == start + 6 * 4


def test_a_patch_of_a_weight_changes_each_of_its_parts_and_is_undone(
    network: Network[Split], file: dict[str, Tensor]
) -> None:
    names = ("qk.weight", "last.bias")
    network.place(HOME)
    network.patch({name: [Number()] for name in names})
    assert is_converted(network, file | {name: Number().apply(file[name]) for name in names})
    network.patch({})
    assert is_converted(network, file)


def test_parts_are_read_again_in_another_type(
    network: Network[Split], file: dict[str, Tensor]
) -> None:
    network.place(HOME)
    network.compute_in(torch.float16)
    assert network.module.k.weight.dtype == torch.float16
    network.compute_in(None)
    assert is_converted(network, file)


def test_a_part_can_be_put_into_a_copy_of_its_weight(file: dict[str, Tensor]) -> None:
    part = parts_of_conversion(convert, file)["swapped.weight"]
    weight = file["last.weight"]
    changed = part.put(weight, part.of(weight) + 1)
    assert torch.equal(changed, weight + 1)


def test_a_missing_weight_has_the_name_that_files_use(file: dict[str, Tensor]) -> None:
    parts = parts_of_conversion(convert, file)
    del file["qk.bias"]
    with pytest.raises(CheckpointUnreadable, match=r"the first is 'qk\.bias'"):
        assemble(Split, file, torch.float32, Path("f"), parts=parts)
