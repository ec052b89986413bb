"""`comfy.model_management` as packs use it, on the CPU."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from comfy import model_management as mm
from torch import nn

from models.load import load_checkpoint
from models.memory import choose_policy
from nodes.context import CURRENT, Interrupted, current_context
from tests.models.tiny import save_checkpoint
from tests.nodes.context import RecordingReporter, node_context

CPU = torch.device("cpu")


class _Model:
    """A model object of a pack: not one of ours."""

    load_device = CPU

    def __init__(self) -> None:
        self.events: list[str] = []

    def model_size(self) -> int:
        return 12

    def patch_model(self, device_to: Any = None, **_: Any) -> None:
        self.events.append(f"load {device_to}")

    def detach(self, unpatch_all: bool = True) -> None:
        self.events.append("unload")


@pytest.fixture(autouse=True)
def _nothing_loaded() -> Any:
    mm.unload_all_models()
    yield
    mm.unload_all_models()


def test_on_a_cpu_everything_is_there() -> None:
    devices = (
        mm.get_torch_device(),
        mm.unet_offload_device(),
        mm.text_encoder_device(),
        mm.text_encoder_offload_device(),
        mm.vae_device(),
        mm.vae_offload_device(),
        mm.intermediate_device(),
        mm.unet_inital_load_device(10, torch.float32),
        mm.text_encoder_initial_device(CPU, CPU),
    )
    assert set(devices) == {CPU}
    assert mm.get_torch_device_name(CPU) == "cpu"
    assert mm.cpu_mode()
    assert not mm.mps_mode()
    assert mm.cpu_state is mm.CPUState.CPU
    assert mm.vram_state is mm.VRAMState.DISABLED


@pytest.mark.parametrize("kind", ["cpu", "mps", "xpu", "cuda"])
def test_devices_are_told_apart_by_their_type(kind: str) -> None:
    for device in (torch.device(kind), kind):
        for other in ("cpu", "mps", "xpu", "cuda"):
            assert getattr(mm, f"is_device_{other}")(device) is (kind == other)
    assert mm.get_autocast_device(torch.device(kind)) == kind


def test_number_types_are_those_that_the_device_is_good_at() -> None:
    assert mm.unet_dtype() == mm.vae_dtype() == mm.text_encoder_dtype() == torch.float32
    assert mm.unet_dtype(supported_dtypes=[torch.float16]) == torch.float32
    assert not mm.should_use_fp16()
    assert not mm.should_use_bf16(CPU)
    assert mm.unet_manual_cast(torch.float16, CPU) == torch.float32
    assert mm.unet_manual_cast(torch.float32, CPU) is None
    assert mm.supports_dtype(CPU, torch.float32)
    assert not mm.supports_fp8_compute(CPU)
    assert mm.pick_weight_dtype(None, torch.float32) == torch.float32
    assert mm.pick_weight_dtype(torch.float16, torch.float32) == torch.float16
    assert mm.dtype_size(torch.bfloat16) == 2


def test_memory_is_told_in_bytes() -> None:
    total, torch_total = mm.get_total_memory(torch_total_too=True)
    assert total == torch_total == psutil.virtual_memory().total == mm.get_total_memory("cpu")
    assert 0 < mm.get_free_memory() <= total
    assert mm.total_ram == total / 2**20
    assert mm.module_size(nn.Linear(3, 2)) == (3 * 2 + 2) * 4
    mm.soft_empty_cache()
    mm.synchronize()
    assert issubclass(mm.OOM_EXCEPTION, RuntimeError)
    assert mm.is_oom(mm.OOM_EXCEPTION("x"))
    with pytest.raises(KeyError):
        mm.raise_non_oom(KeyError())


def test_tensors_are_moved_and_converted() -> None:
    tensor = torch.ones(2)
    assert mm.cast_to(tensor) is tensor
    assert mm.cast_to(tensor, copy=True) is not tensor
    assert mm.cast_to_device(tensor, CPU, torch.float16).dtype == torch.float16


def test_the_types_of_parameters_are_noted() -> None:
    module = nn.Sequential(nn.Linear(2, 2).half())
    mm.archive_model_dtypes(module)
    assert module[0].weight_comfy_model_dtype == torch.float16


def test_models_of_packs_are_loaded_and_sent_home() -> None:
    model = _Model()
    mm.load_models_gpu([model, model])
    assert model.events == ["load cpu"]
    assert mm.loaded_models() == [model]
    assert [entry.model_memory() for entry in mm.current_loaded_models] == [12]
    mm.load_model_gpu(model)
    assert mm.loaded_models() == [model]
    mm.unload_all_models()
    assert model.events == ["load cpu", "load cpu", "unload"]
    assert mm.loaded_models() == []


def test_a_model_that_nobody_has_is_forgotten() -> None:
    model = _Model()
    mm.load_model_gpu(model)
    gone = weakref.ref(model)
    del model
    mm.cleanup_models()
    assert gone() is None
    assert mm.loaded_models() == []


def test_our_own_models_are_loaded_as_well(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "tiny.safetensors")
    model = load_checkpoint(path, choose_policy(cpu=True)).model
    mm.load_model_gpu(model)
    assert mm.loaded_models() == [model]
    assert mm.current_loaded_models[0].model_memory() == model.network.size()
    assert mm.free_memory(10**15, CPU) == []  # on the CPU everything is at home
    mm.unload_model_and_clones(model)
    assert mm.loaded_models() == []


def test_an_interruption_is_the_engines_own(tmp_path: Path) -> None:
    assert mm.InterruptProcessingException is Interrupted
    mm.throw_exception_if_processing_interrupted()  # outside of nodes
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        assert not mm.processing_interrupted()
        reporter.interrupted = True
        assert mm.processing_interrupted()
        with pytest.raises(mm.InterruptProcessingException):
            mm.throw_exception_if_processing_interrupted()


def test_a_pack_can_interrupt_the_prompt_that_runs(tmp_path: Path) -> None:
    stopped: list[str] = []
    mm.interrupt_current_processing()  # nothing runs
    with node_context(tmp_path):
        here = current_context()
        services = replace(here.services, interrupt=stopped.append)
        token = CURRENT.set(replace(here, services=services))
        mm.interrupt_current_processing(False)
        mm.interrupt_current_processing()
        CURRENT.reset(token)
    assert stopped == ["p"]


def test_attention_is_torchs_own() -> None:
    assert mm.pytorch_attention_enabled()
    assert not mm.xformers_enabled()
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = mm.no_such_name
