"""What is in memory, on a device of a stated size, and what makes room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.devices import HOME, HostMemory, StatedMemory
from models.load import Checkpoint, load_checkpoint
from models.memory import Policy, VramMode, choose_policy
from models.network import Network, assemble
from models.residents import Residents

AWAY = torch.device("cpu:0")
SIZE = 24  # bytes of the networks here


def network() -> Network[nn.Linear]:
    source = {"weight": torch.ones(2, 2).half(), "bias": torch.zeros(2).half()}
    return assemble(lambda: nn.Linear(2, 2), source, torch.float32, Path("f"))


def test_the_least_recently_used_network_makes_room() -> None:
    residents = Residents(StatedMemory(2 * SIZE))
    first, second, third = (network() for _ in range(3))
    for each in (first, second, first, third):
        residents.use(each, AWAY)
    assert [n.is_resting for n in (first, second, third)] == [False, True, False]
    assert [*residents.networks(AWAY)] == [first, third]
    assert residents.bytes_on(AWAY) == 2 * SIZE
    assert (residents.counts.loads, residents.counts.evictions) == (3, 1)


def test_networks_that_fit_together_are_loaded_once() -> None:
    residents = Residents(StatedMemory(3 * SIZE))
    networks = [network() for _ in range(3)]
    for each in networks * 5:
        residents.use(each, AWAY)
    assert (residents.counts.loads, residents.counts.evictions) == (3, 0)
    assert residents.counts.loaded_bytes == 3 * SIZE


def test_patches_and_clones_are_no_reason_to_load_again() -> None:
    residents, shared = Residents(StatedMemory(2 * SIZE)), network()
    for _ in range(3):
        residents.use(shared, AWAY)
        shared.patch({})
    assert residents.counts.loads == 1


def test_what_computes_makes_no_room() -> None:
    residents = Residents(StatedMemory(SIZE))
    first, second = network(), network()
    with residents.using(first, AWAY):
        residents.use(second, AWAY)
        assert not first.is_resting
    residents.use(network(), AWAY)
    assert first.is_resting and second.is_resting


def test_networks_that_nobody_holds_are_forgotten() -> None:
    residents = Residents(StatedMemory(SIZE))
    residents.use(network(), AWAY)
    assert len(residents) == 0
    kept = network()
    residents.use(kept, AWAY)
    assert (residents.counts.evictions, len(residents)) == (0, 1)


def test_looking_at_what_is_there_changes_nothing() -> None:
    """A worker is asked on another thread, also while a network goes and comes back."""
    residents, shared = Residents(StatedMemory(SIZE)), network()
    residents.use(shared, AWAY)
    shared.rest()
    assert [*residents.networks()] == []
    shared.place(AWAY)
    assert [*residents.networks()] == [shared]


def test_a_network_that_memory_was_too_small_for_is_loaded_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    residents, loaded = Residents(StatedMemory(SIZE)), network()
    with monkeypatch.context() as patch:
        patch.setattr(Network, "_fill", _out_of_memory)
        with pytest.raises(MemoryError):
            residents.use(loaded, AWAY)
    assert residents.bytes_on(AWAY) == 0
    residents.use(loaded, AWAY)
    assert loaded.module.weight.dtype == torch.float32
    assert residents.bytes_on(AWAY) == SIZE


def _out_of_memory(*_: object) -> None:
    raise MemoryError


def test_a_budget_of_the_machine_s_memory_is_kept() -> None:
    residents = Residents(HostMemory(2 * SIZE))
    networks = [network() for _ in range(3)]
    for each in networks:
        residents.use(each, HOME)
    assert [n.is_resting for n in networks] == [True, False, False]
    assert residents.bytes_on(HOME) == 2 * SIZE


def test_devices_make_no_room_for_each_other() -> None:
    residents = Residents(HostMemory(SIZE), StatedMemory(SIZE))
    here, there = network(), network()
    residents.use(here, HOME)
    residents.use(there, AWAY)
    assert (residents.bytes_on(HOME), residents.bytes_on(AWAY)) == (SIZE, SIZE)
    assert residents.counts.evictions == 0


def test_everything_can_be_unloaded() -> None:
    residents = Residents(StatedMemory(9 * SIZE), HostMemory())
    networks = [network() for _ in range(3)]
    for each in networks:
        residents.use(each, AWAY)
    residents.unload_all()
    assert len(residents) == 0
    assert all(each.is_resting for each in networks)
    assert residents.counts.evictions == 3


# A whole checkpoint on a device that is too small


def policy_of(total: int, vram: VramMode = "normal") -> Policy:
    return choose_policy(vram=vram, memory=StatedMemory(total))


def denoised(loaded: Checkpoint) -> torch.Tensor:
    x = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
    context = torch.linspace(-1, 1, 77 * 16).reshape(1, 77, 16)
    return loaded.model.denoised(x, torch.tensor([2.0]), context)


@pytest.fixture
def size(tiny_file: Path, policy: Policy) -> int:
    return load_checkpoint(tiny_file, policy).model.network.size()


@pytest.fixture
def expected(tiny_file: Path, policy: Policy) -> torch.Tensor:
    return denoised(load_checkpoint(tiny_file, policy))


@pytest.mark.parametrize(
    ("vram", "room", "least", "most"),
    [
        ("normal", 2.0, 1.0, 1.0),
        ("normal", 0.6, 0.2, 0.6),  # as much as fits
        ("normal", 0.0, 0.0, 0.0),
        ("low", 1.2, 0.2, 0.6),  # half of the room
        ("low", 4.0, 1.0, 1.0),
        ("none", 9.0, 0.0, 0.0),
        ("high", 0.1, 1.0, 1.0),  # all or an error of the device
        ("gpu-only", 0.1, 1.0, 1.0),
    ],
)
def test_modes_say_how_much_of_a_model_stays_on_the_device(
    vram: VramMode,
    room: float,
    least: float,
    most: float,
    tiny_file: Path,
    size: int,
    expected: torch.Tensor,
) -> None:
    policy = policy_of(int(size * room), vram)
    loaded = load_checkpoint(tiny_file, policy)
    torch.testing.assert_close(denoised(loaded), expected)
    share = policy.residents.bytes_on(policy.device) / size
    assert least <= share <= most
    assert loaded.model.network.is_streaming == (share < 1)
    torch.testing.assert_close(denoised(loaded), expected)
    assert policy.residents.counts.loads == 1


def test_a_model_that_streams_takes_patches(tiny_file: Path, size: int) -> None:
    class Twice:
        def apply(self, weight: torch.Tensor) -> torch.Tensor:
            return weight * 2

    changes: dict[str, Any] = {"conv_in.weight": [Twice()], "conv_out.weight": [Twice()]}
    results = []
    for room in (9 * size, size // 2):
        loaded = load_checkpoint(tiny_file, policy_of(room))
        plain = denoised(loaded)
        loaded.model.patches = changes
        patched = denoised(loaded)
        assert not torch.allclose(patched, plain)
        loaded.model.patches = {}
        torch.testing.assert_close(denoised(loaded), plain)
        results.append(patched)
    torch.testing.assert_close(*results)


def test_a_text_encoder_is_on_the_device_whole(tiny_file: Path, size: int) -> None:
    policy = policy_of(size // 9)
    loaded = load_checkpoint(tiny_file, policy)
    assert loaded.text is not None and loaded.vae is not None
    here = load_checkpoint(tiny_file, choose_policy(cpu=True))
    assert here.text is not None and here.vae is not None
    torch.testing.assert_close(
        loaded.text.encode_text("a cat")[0][0], here.text.encode_text("a cat")[0][0]
    )
    latent = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
    torch.testing.assert_close(loaded.vae.decode(latent), here.vae.decode(latent))
