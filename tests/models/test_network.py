from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.devices import HOME
from models.errors import CheckpointUnreadable
from models.network import Network, Patches, assemble


@dataclass(frozen=True)
class Add:
    """A patch that adds a number."""

    amount: float

    def apply(self, weight: Tensor) -> Tensor:
        return weight + self.amount


def linear(dtype: torch.dtype = torch.float32) -> Network[nn.Sequential]:
    source = {"0.weight": torch.ones(2, 3).half(), "0.bias": torch.zeros(2).half()}
    network = assemble(lambda: nn.Sequential(nn.Linear(3, 2)), source, dtype, Path("f"))
    network.place(HOME)
    return network


def values(network: Network[nn.Sequential], name: str) -> set[float]:
    tensor = network.module.get_parameter(f"0.{name}")
    return set(tensor.flatten().tolist())


def test_weights_are_converted_and_frozen() -> None:
    network = linear()
    assert network.module[0].weight.dtype == torch.float32
    assert not network.module[0].weight.requires_grad
    assert not network.module.training


def test_patches_are_made_in_order_and_undone() -> None:
    network = linear()
    network.patch({"0.weight": [Add(1.0), Add(2.0)]})
    assert values(network, "weight") == {4.0}
    network.patch({"0.weight": [Add(1.0)], "0.bias": [Add(5.0)]})
    assert values(network, "weight") == {2.0}
    assert values(network, "bias") == {5.0}
    network.patch({})
    assert values(network, "weight") == {1.0}
    assert values(network, "bias") == {0.0}


def test_the_same_patches_touch_nothing() -> None:
    network = linear()
    patch = Add(1.0)
    network.patch({"0.weight": [patch]})
    before = network.module[0].weight
    network.patch({"0.weight": [patch]})
    assert network.module[0].weight is before


def test_patches_are_merged_in_float32_and_rounded_once() -> None:
    network = linear(torch.float16)
    network.patch({"0.weight": [Add(2.0**-12), Add(-1.0)]})
    assert values(network, "weight") == {2.0**-12}


def test_a_network_that_comes_home_has_its_patched_weights() -> None:
    network = linear()
    network.patch({"0.weight": [Add(1.0)]})
    network.place(torch.device("meta"))
    assert network.module[0].weight.is_meta
    network.place(torch.device("cpu"))
    assert values(network, "weight") == {2.0}


def test_a_network_that_rests_has_the_weights_of_its_file_until_it_is_placed_again() -> None:
    network = linear()
    network.patch({"0.weight": [Add(1.0)]})
    assert (network.bytes_on(HOME), network.size()) == (32, 32)
    network.rest()
    assert network.module[0].weight is not None
    assert network.module[0].weight.dtype == torch.float16
    assert (values(network, "weight"), network.bytes_on(HOME), network.size()) == ({1.0}, 0, 32)
    network.patch({"0.weight": [Add(2.0)]})
    assert values(network, "weight") == {1.0}
    network.place(HOME)
    assert values(network, "weight") == {3.0}
    assert network.module[0].weight.dtype == torch.float32


def test_buffers_that_are_not_in_the_file_survive_a_rest() -> None:
    network = linear()
    network.module.register_buffer("ids", torch.arange(3), persistent=False)
    network.rest()
    network.place(HOME)
    assert network.module.get_buffer("ids").tolist() == [0, 1, 2]


@dataclass(frozen=True)
class OutOfMemory:
    """A patch that memory suffices for at the second try."""

    tries: list[int] = field(default_factory=list, compare=False)

    def apply(self, weight: Tensor) -> Tensor:
        self.tries.append(1)
        if len(self.tries) == 1:
            raise MemoryError
        return weight + 1.0


@pytest.mark.parametrize("begin", ["resting", "placed", "streaming"])
def test_a_change_that_fails_half_way_leaves_nothing_half_done(begin: str) -> None:
    network = linear()
    if begin != "placed":
        network.rest()
    if begin == "streaming":
        network.stream(torch.device("cpu:0"), 0)
    patches: Patches = {"0.weight": [Add(2.0)], "0.bias": [OutOfMemory()]}
    with pytest.raises(MemoryError):
        network.patch(patches)
        network.place(HOME)
    assert network.is_resting and not network.is_streaming
    network.patch(patches)
    network.place(HOME)
    assert (values(network, "weight"), values(network, "bias")) == ({3.0}, {1.0})
    network.patch({})
    assert (values(network, "weight"), values(network, "bias")) == ({1.0}, {0.0})


def test_a_network_that_cannot_stream_after_all_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    network = linear()
    monkeypatch.setattr("models.offload._stream", out_of_memory)
    with pytest.raises(MemoryError):
        network.stream(torch.device("cpu:0"), 0)
    assert network.is_resting and not network.is_streaming


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(CheckpointUnreadable, match=r"bias"):
        assemble(lambda: nn.Linear(3, 2), {"weight": torch.ones(2, 3)}, torch.float32, Path("f"))


def test_size_and_shapes_can_be_asked() -> None:
    network = linear()
    assert network.size() == 8 * 4
    assert "0.bias" in network and "1.bias" not in network
    assert network.shape("0.weight") == (2, 3)
