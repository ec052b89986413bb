from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from models import memory
from models.memory import Residents, choose_policy
from models.network import Network, assemble

AWAY = torch.device("meta")  # stands for a GPU: networks can be moved there anywhere


def network() -> Network[nn.Linear]:
    source = {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}
    return assemble(lambda: nn.Linear(2, 2), source, torch.float32, Path("f"))


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)


def test_the_cpu_computes_everything_in_float32() -> None:
    policy = choose_policy(cpu=True)
    assert {policy.device.type, policy.vae_device.type, policy.text_device.type} == {"cpu"}
    assert {policy.unet_dtype, policy.vae_dtype, policy.text_dtype} == {torch.float32}


def test_each_part_can_have_its_own_precision() -> None:
    policy = choose_policy(cpu=True, force="fp16", unet="bf16", text="fp32")
    assert policy.unet_dtype == torch.bfloat16
    assert policy.vae_dtype == torch.float16
    assert policy.text_dtype == torch.float32


def test_a_gpu_computes_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    policy = choose_policy(device_index=1)
    assert policy.device == torch.device("cuda", 1)
    assert (policy.unet_dtype, policy.vae_dtype) == (torch.float16, torch.bfloat16)
    sparing = choose_policy(vram="low", cpu_vae=True)
    assert (sparing.vae_device.type, sparing.text_device.type) == ("cpu", "cpu")
    assert (sparing.vae_dtype, sparing.text_dtype) == (torch.float32, torch.float32)
    assert sparing.device.type == "cuda"


def test_the_least_recently_used_network_makes_room(little_memory: None) -> None:
    residents = Residents(AWAY)
    first, second = network(), network()
    residents.use(first, AWAY)
    residents.use(second, AWAY)
    assert (first.device.type, second.device) == ("cpu", AWAY)
    assert len(residents) == 1
    residents.use(first, AWAY)
    assert (first.device, second.device.type) == (AWAY, "cpu")


def test_networks_stay_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**12)
    residents = Residents(AWAY)
    networks = [network() for _ in range(3)]
    for each in networks:
        residents.use(each, AWAY)
    assert [each.device for each in networks] == [AWAY] * 3
    residents.unload_all()
    assert {each.device.type for each in networks} == {"cpu"}
    assert len(residents) == 0


def test_reserved_memory_counts_as_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2 * memory.WORKING_BYTES)
    residents = Residents(AWAY, reserve=2 * memory.WORKING_BYTES)
    first, second = network(), network()
    residents.use(first, AWAY)
    residents.use(second, AWAY)
    assert first.device.type == "cpu"


def test_on_the_cpu_nothing_is_counted_or_moved() -> None:
    policy = choose_policy(cpu=True)
    with policy.using(network(), policy.device) as module:
        assert not torch.is_grad_enabled()
        assert module.weight.device.type == "cpu"
    assert len(policy.residents) == 0


def test_memory_of_the_machine_is_known() -> None:
    cpu = torch.device("cpu")
    assert 0 < memory.free_bytes(cpu) < memory.total_bytes(cpu)
