"""Weights that take turns: what is kept, for how long, and that it is the right one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from models.kept_weights import KeptWeights
from models.network import Network

HOME = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Add:
    """Adds a number to a weight, and counts how often."""

    number: float
    made: Counter[float]

    def apply(self, weight: Tensor) -> Tensor:
        self.made[self.number] += 1
        return weight + self.number


@pytest.fixture
def network() -> Network[nn.Linear]:
    module = nn.Linear(2, 2)
    source = {"weight": torch.ones(2, 2).half(), "bias": torch.zeros(2).half()}
    made = Network(module, source, torch.float32)
    made.place(HOME)
    return made


def weight_with(network: Network[nn.Linear], patches: Sequence[Add]) -> float:
    network.patch({"weight": patches})
    return float(network.module.weight[0, 0])


def test_versions_that_alternate_are_computed_once(network: Network[nn.Linear]) -> None:
    made: Counter[float] = Counter()
    one, two = [Add(1.0, made)], [Add(2.0, made)]
    with network.taking_turns(10**6):
        for _ in range(3):
            assert [weight_with(network, patches) for patches in (one, [], two)] == [2.0, 1.0, 3.0]
    assert made == {1.0: 1, 2.0: 1}


def test_without_turns_or_room_they_are_computed_anew(network: Network[nn.Linear]) -> None:
    made: Counter[float] = Counter()
    one = [Add(1.0, made)]
    with network.taking_turns(15):  # a version takes 16 bytes
        assert [weight_with(network, patches) for patches in (one, [], one)] == [2.0, 1.0, 2.0]
    assert [weight_with(network, patches) for patches in ([], one)] == [1.0, 2.0]
    assert made == {1.0: 3}


def test_nothing_is_kept_after_the_turns_and_of_another_type(network: Network[nn.Linear]) -> None:
    made: Counter[float] = Counter()
    one = [Add(1.0, made)]
    with network.taking_turns(10**6):
        weight_with(network, one)
        weight_with(network, [])
        assert network.bytes_on(HOME) == network.size() + 16
        network.compute_in(torch.float64)
        assert weight_with(network, one) == 2.0
        assert network.module.weight.dtype == torch.float64
    assert network.bytes_on(HOME) == network.size()
    assert made == {1.0: 2}


def test_a_course_of_strengths_does_not_pile_up(network: Network[nn.Linear]) -> None:
    made: Counter[float] = Counter()
    with network.taking_turns(10**6):
        for step in range(5):
            assert weight_with(network, [Add(float(step), made)]) == 1.0 + step
            assert weight_with(network, []) == 1.0
        assert network.bytes_on(HOME) <= network.size() + 2 * 16


def test_the_oldest_version_of_a_weight_goes_first() -> None:
    kept = KeptWeights(10**6)
    made: Counter[float] = Counter()
    changes = [(Add(float(n), made),) for n in range(3)]
    for number, one in enumerate(changes):
        kept.keep("weight", one, [("weight", torch.full((2,), float(number)))])
    assert kept.take("weight", changes[0]) is None
    found = kept.take("weight", changes[2])
    assert found is not None and found[0][1].tolist() == [2.0, 2.0]
    assert kept.take("weight", changes[2]) is None
    assert kept.held == 8
