"""What flags ask for: devices and number types."""

from __future__ import annotations

import pytest
import torch

from models import devices
from models.devices import HOME
from models.memory import Policy, Precision, VramMode, choose_policy

HALVES = (torch.float16, torch.bfloat16)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


def dtypes(policy: Policy) -> tuple[torch.dtype, torch.dtype, torch.dtype]:
    return policy.unet_dtype, policy.vae_dtype, policy.text_dtype


def test_the_cpu_computes_everything_in_float32() -> None:
    policy = choose_policy(cpu=True)
    assert {policy.device, policy.vae_device, policy.text_device} == {HOME}
    assert dtypes(policy) == (torch.float32,) * 3


def test_each_part_can_have_its_own_precision() -> None:
    policy = choose_policy(cpu=True, force="fp16", unet="bf16", text="fp32")
    assert dtypes(policy) == (torch.bfloat16, torch.float16, torch.float32)


def test_a_gpu_computes_in_half_precision(gpu: None) -> None:
    policy = choose_policy(device_index=1)
    assert policy.device == torch.device("cuda", 1)
    assert dtypes(policy) == (torch.float16, torch.bfloat16, torch.float16)


def test_a_vae_is_not_trusted_with_float16(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert choose_policy().vae_dtype == torch.float32
    assert choose_policy(vae="fp16").vae_dtype == torch.float16


@pytest.mark.parametrize("vram", ["low", "none"])
def test_sparing_modes_have_text_encoders_at_home(gpu: None, vram: VramMode) -> None:
    policy = choose_policy(vram=vram)
    assert (policy.device.type, policy.vae_device.type, policy.text_device) == ("cuda",) * 2 + (
        HOME,
    )
    assert policy.text_dtype == torch.float32


def test_a_vae_can_be_at_home(gpu: None) -> None:
    policy = choose_policy(cpu_vae=True)
    assert (policy.device.type, policy.vae_device, policy.vae_dtype) == (
        *("cuda", HOME),
        torch.float32,
    )


@pytest.mark.parametrize(
    ("flag", "stored"),
    [("fp8_e4m3fn", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)],
)
def test_weights_can_be_kept_in_8_bits(gpu: None, flag: Precision, stored: torch.dtype) -> None:
    policy = choose_policy(unet=flag, text=flag)
    assert (policy.unet_storage, policy.text_storage) == (stored, stored)
    assert dtypes(policy) == dtypes(choose_policy())  # what is computed in
    assert dtypes(choose_policy(unet=flag, force="fp32"))[0] == torch.float32


@pytest.mark.parametrize("stored", [*HALVES, torch.float32, None])
def test_a_flag_decides_over_file_and_family(gpu: None, stored: torch.dtype | None) -> None:
    for flag, dtype in (("fp16", HALVES[0]), ("bf16", HALVES[1]), ("fp32", torch.float32)):
        assert choose_policy(unet=flag).denoiser_dtype(stored) == dtype  # type: ignore[arg-type]
        assert choose_policy(force=flag).denoiser_dtype(stored) == dtype  # type: ignore[arg-type]


def test_a_gpu_computes_in_the_type_of_the_file_if_the_family_bears_it(gpu: None) -> None:
    policy, (half, brain) = choose_policy(), HALVES
    assert [policy.denoiser_dtype(d) for d in (half, brain, torch.float32)] == [half, brain, half]
    picky = (brain, torch.float32)
    assert [policy.denoiser_dtype(d, picky) for d in (half, brain, None)] == [brain] * 3


def test_a_gpu_without_bfloat16_does_without(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    policy, (half, brain) = choose_policy(), HALVES
    assert policy.denoiser_dtype(brain) == half
    assert policy.denoiser_dtype(brain, (brain, torch.float32)) == torch.float32


def test_the_cpu_computes_in_float32_whatever_the_file_has() -> None:
    assert choose_policy(cpu=True).denoiser_dtype(torch.bfloat16) == torch.float32


def test_memory_of_the_machine_is_known() -> None:
    assert 0 < devices.free_bytes(HOME) < devices.total_bytes(HOME)
    assert devices.host_bytes() <= devices.total_bytes(HOME)
