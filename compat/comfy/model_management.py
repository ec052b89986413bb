"""ComfyUI's `comfy.model_management` over `models.memory`: devices, number types, residency."""

from __future__ import annotations

import gc
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from enum import Enum
from typing import Any, Final, TypeAlias

import psutil
import torch
from darkroom_compat import residency
from darkroom_compat.residency import LoadedModel as LoadedModel
from darkroom_compat.residency import policy as _policy
from torch import Tensor, nn

from models.devices import WORKING_BYTES, empty_cache, free_bytes, total_bytes
from nodes.context import Interrupted, current_context, interrupt_prompt, is_in_call

Device: TypeAlias = "torch.device | str | None"

_HALVES: Final = (torch.float16, torch.bfloat16)
_ALL: Final = (torch.float16, torch.bfloat16, torch.float32)
FLOAT8_TYPES: Final = [torch.float8_e4m3fn, torch.float8_e5m2]


class VRAMState(Enum):
    """How sparing of device memory we are."""

    DISABLED = 0  # no device memory to speak of: the CPU
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    """What computes."""

    GPU = 0
    CPU = 1
    MPS = 2


_VRAM_STATES: Final = {
    "none": VRAMState.NO_VRAM,
    "low": VRAMState.LOW_VRAM,
    "normal": VRAMState.NORMAL_VRAM,
    "high": VRAMState.HIGH_VRAM,
    "gpu-only": VRAMState.HIGH_VRAM,
}

current_loaded_models: Final = residency.loaded  # least recently asked for first

lowvram_available = True
xpu_available = npu_available = mlu_available = ixuca_available = directml_enabled = False
XFORMERS_IS_AVAILABLE = XFORMERS_ENABLED_VAE = XFORMERS_VERSION_OK = False
ENABLE_PYTORCH_ATTENTION = True
DISABLE_SMART_MEMORY = False
EXTRA_RESERVED_VRAM = 0
WINDOWS = sys.platform == "win32"


def __getattr__(name: str) -> Any:
    """What depends on the device, worked out when somebody asks."""
    found: dict[str, Callable[[], Any]] = {
        "vram_state": lambda: VRAMState.DISABLED if cpu_mode() else _VRAM_STATES[_policy().vram],
        "set_vram_to": lambda: VRAMState.DISABLED if cpu_mode() else _VRAM_STATES[_policy().vram],
        "cpu_state": lambda: CPUState.CPU if cpu_mode() else CPUState.GPU,
        "total_vram": lambda: get_total_memory() / 2**20,
        "total_ram": lambda: psutil.virtual_memory().total / 2**20,
    }
    if name not in found:
        raise AttributeError(f"module 'comfy.model_management' has no attribute '{name}'")
    return found[name]()


# Devices


def get_torch_device() -> torch.device:
    """Where diffusion models compute."""
    return _policy().device


def get_torch_device_name(device: torch.device) -> str:
    """Its name for people."""
    device = torch.device(device)
    if device.type != "cuda":
        return device.type
    return f"{device} {torch.cuda.get_device_name(device)}"


def unet_offload_device() -> torch.device:
    """Where diffusion models wait."""
    return get_torch_device() if _policy().vram in ("gpu-only", "high") else torch.device("cpu")


def unet_inital_load_device(parameters: int, dtype: torch.dtype) -> torch.device:
    """Where weights are read to: models are mapped from their files on the CPU."""
    return unet_offload_device()


def text_encoder_device() -> torch.device:
    """Where text encoders compute."""
    return _policy().text_device


def text_encoder_offload_device() -> torch.device:
    """Where text encoders wait."""
    return get_torch_device() if _policy().vram == "gpu-only" else torch.device("cpu")


def text_encoder_initial_device(
    load_device: torch.device, offload_device: torch.device, model_size: int = 0
) -> torch.device:
    """Where a text encoder's weights are read to."""
    return offload_device


def vae_device() -> torch.device:
    """Where VAEs compute."""
    return _policy().vae_device


def vae_offload_device() -> torch.device:
    """Where VAEs wait."""
    return get_torch_device() if _policy().vram == "gpu-only" else torch.device("cpu")


def intermediate_device() -> torch.device:
    """Where values between nodes are."""
    return get_torch_device() if _policy().vram == "gpu-only" else torch.device("cpu")


def get_autocast_device(dev: Any) -> str:
    """The device's type, as torch.autocast wants it."""
    return str(dev.type) if hasattr(dev, "type") else "cuda"


def is_device_type(device: Any, type: str) -> bool:
    """Whether a device is of that type."""
    return str(getattr(device, "type", device)).split(":")[0] == type


def is_device_cpu(device: Any) -> bool:
    """Whether it is the CPU."""
    return is_device_type(device, "cpu")


def is_device_mps(device: Any) -> bool:
    """Whether it is Apple's."""
    return is_device_type(device, "mps")


def is_device_xpu(device: Any) -> bool:
    """Whether it is Intel's."""
    return is_device_type(device, "xpu")


def is_device_cuda(device: Any) -> bool:
    """Whether it is Nvidia's or, with ROCm, AMD's."""
    return is_device_type(device, "cuda")


def cpu_mode() -> bool:
    """Whether the CPU computes."""
    return is_device_cpu(get_torch_device())


def mps_mode() -> bool:
    """Whether Apple's GPU computes."""
    return False


def is_nvidia() -> bool:
    """Whether an Nvidia GPU computes."""
    return not cpu_mode() and torch.version.cuda is not None


def is_amd() -> bool:
    """Whether an AMD GPU computes."""
    return not cpu_mode() and torch.version.hip is not None


def is_intel_xpu() -> bool:
    """Whether an Intel GPU computes."""
    return False


is_ascend_npu = is_mlu = is_ixuca = is_directml_enabled = is_intel_xpu


def is_wsl() -> bool:
    """Whether this is Linux inside of Windows."""
    return "microsoft" in platform.release().lower()


def mac_version() -> tuple[int, ...] | None:
    """The version of macOS, None elsewhere."""
    text = platform.mac_ver()[0]
    return tuple(int(part) for part in text.split(".")) if text else None


# Memory


def get_total_memory(dev: Device = None, torch_total_too: bool = False) -> Any:
    """Bytes of a device; with `torch_total_too` also those that torch holds."""
    device = _device(dev)
    total = total_bytes(device)
    held = torch.cuda.memory_reserved(device) if device.type == "cuda" else total
    return (total, held) if torch_total_too else total


def get_free_memory(dev: Device = None, torch_free_too: bool = False) -> Any:
    """Free bytes of a device; with `torch_free_too` also the part of them that torch holds."""
    device = _device(dev)
    free = free_bytes(device)
    unused = free
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (free, unused) if torch_free_too else free


def _device(dev: Device) -> torch.device:
    return get_torch_device() if dev is None else torch.device(dev)


def extra_reserved_memory() -> int:
    """Bytes that are kept free for others."""
    return _policy().reserve_bytes


def minimum_inference_memory() -> int:
    """Bytes that are kept free beside weights."""
    return WORKING_BYTES + extra_reserved_memory()


def maximum_vram_for_weights(device: Device = None) -> float:
    """Bytes of weights that a device can hold while it computes."""
    return float(max(0, get_total_memory(device) - minimum_inference_memory()))


def module_size(module: nn.Module, shift_device: Device = None) -> int:
    """Bytes of a module's weights and buffers."""
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def dtype_size(dtype: torch.dtype) -> int:
    """Bytes of one number."""
    return dtype.itemsize


def soft_empty_cache(force: bool = False) -> None:
    """Give memory that torch holds unused back to the device."""
    empty_cache(get_torch_device())


def synchronize() -> None:
    """Wait until the device has done what it was given."""
    if is_device_cuda(get_torch_device()):
        torch.cuda.synchronize()


def debug_memory_summary() -> str:
    """torch's own report on memory."""
    return torch.cuda.memory_summary() if is_device_cuda(get_torch_device()) else ""


OOM_EXCEPTION = torch.OutOfMemoryError


def is_oom(e: BaseException) -> bool:
    """Whether an error says that memory has run out."""
    return isinstance(e, OOM_EXCEPTION)


def raise_non_oom(e: BaseException) -> None:
    """Raise all but those."""
    if not is_oom(e):
        raise e


# Models on their devices


def load_models_gpu(
    models: Iterable[Any],
    memory_required: float = 0,
    force_patch_weights: bool = False,
    minimum_memory_required: float | None = None,
    force_full_load: bool = False,
) -> None:
    """Have models on their devices with so much memory beside them."""
    beside = max(memory_required, minimum_memory_required or 0, minimum_inference_memory())
    residency.load(models, beside, force_patch=force_patch_weights)


def load_model_gpu(model: Any) -> None:
    """As `load_models_gpu`, for one."""
    load_models_gpu([model])


def free_memory(
    memory_required: float,
    device: Device,
    keep_loaded: Sequence[LoadedModel] = (),
    for_dynamic: bool = False,
    ram_required: float = 0,
) -> list[LoadedModel]:
    """Send models home until so many bytes are free; which ones went."""
    return residency.free(memory_required, _device(device), keep=keep_loaded)


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """The models that were asked for and not sent home since."""
    residency.drop_dead()
    return [
        entry.model
        for entry in current_loaded_models
        if entry.currently_used or not only_currently_used
    ]


def unload_all_models() -> None:
    """Send all models home."""
    residency.unload_all()


def unload_model_and_clones(
    model: Any, unload_additional_models: bool = True, all_devices: bool = False
) -> None:
    """Send a model home, with those that share its weights."""
    network = residency.network_of(model)
    for entry in list(current_loaded_models):
        same = entry.model is model or (
            network is not None and residency.network_of(entry.model) is network
        )
        if same:
            entry.model_unload()
            current_loaded_models.remove(entry)


def cleanup_models_gc() -> None:
    """Let go of models that nobody has any more."""
    gc.collect()
    residency.drop_dead()


cleanup_models = residency.drop_dead


def archive_model_dtypes(model: nn.Module) -> None:
    """Note the type of each parameter beside it, as `<name>_comfy_model_dtype`."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, f"{name}_comfy_model_dtype", parameter.dtype)


# Number types


def unet_dtype(
    device: Device = None,
    model_params: int = 0,
    supported_dtypes: Sequence[torch.dtype] = _ALL,
    weight_dtype: torch.dtype | None = None,
) -> torch.dtype:
    """The type in which a diffusion model's weights are kept."""
    return _first_supported(_policy().unet_dtype, device, supported_dtypes)


def _first_supported(
    wanted: torch.dtype, device: Device, supported: Sequence[torch.dtype]
) -> torch.dtype:
    if device is not None and is_device_cpu(device):
        wanted = torch.float32
    if wanted in supported:
        return wanted
    if wanted in _HALVES and torch.bfloat16 in supported and should_use_bf16(device):
        return torch.bfloat16
    return torch.float32


def unet_manual_cast(
    weight_dtype: torch.dtype,
    inference_device: Device,
    supported_dtypes: Sequence[torch.dtype] = _ALL,
) -> torch.dtype | None:
    """The type to compute in when weights are kept in another; None: in theirs."""
    if weight_dtype in (torch.float32, torch.float64):
        return None
    can = {
        torch.float16: should_use_fp16(inference_device),
        torch.bfloat16: should_use_bf16(inference_device),
    }
    if can.get(weight_dtype) and weight_dtype in supported_dtypes:
        return None
    for dtype in supported_dtypes:
        if can.get(dtype):
            return dtype
    return torch.float32


def text_encoder_dtype(device: Device = None) -> torch.dtype:
    """The type of text encoders."""
    return _policy().text_dtype


def vae_dtype(device: Device = None, allowed_dtypes: Sequence[torch.dtype] = ()) -> torch.dtype:
    """The type of VAEs."""
    return _first_supported(_policy().vae_dtype, device, allowed_dtypes or _ALL)


def lora_compute_dtype(device: Device) -> torch.dtype:
    """The type in which LoRAs are merged."""
    return torch.float32


def supports_dtype(device: Device, dtype: torch.dtype) -> bool:
    """Whether a device can compute in a type."""
    if dtype == torch.float32:
        return True
    return dtype in _HALVES and not is_device_cpu(device)


def supports_cast(device: Device, dtype: torch.dtype) -> bool:
    """Whether a device can hold a type."""
    return dtype in _ALL or dtype in FLOAT8_TYPES


def pick_weight_dtype(
    dtype: torch.dtype | None, fallback_dtype: torch.dtype, device: Device = None
) -> torch.dtype:
    """`dtype` if it is given and the device can hold it."""
    if dtype is None or dtype.itemsize > fallback_dtype.itemsize:
        return fallback_dtype
    return dtype if supports_cast(device, dtype) else fallback_dtype


def should_use_fp16(
    device: Device = None,
    model_params: int = 0,
    prioritize_performance: bool = True,
    manual_cast: bool = False,
) -> bool:
    """Whether half precision is worth it there."""
    return not is_device_cpu(_device(device))


def should_use_bf16(
    device: Device = None,
    model_params: int = 0,
    prioritize_performance: bool = True,
    manual_cast: bool = False,
) -> bool:
    """Whether bfloat16 is worth it there."""
    return not is_device_cpu(_device(device)) and torch.cuda.is_bf16_supported()


def supports_fp8_compute(device: Device = None) -> bool:
    """Whether a device multiplies in 8 bits."""
    where = _device(device)
    return where.type == "cuda" and torch.cuda.get_device_capability(where) >= (8, 9)


def get_supported_float8_types() -> list[torch.dtype]:
    """The types of 8 bits that torch has."""
    return list(FLOAT8_TYPES)


def extended_fp16_support() -> bool:
    """Whether sums in half precision are kept in more."""
    return True


# Moving and converting


def cast_to(
    weight: Tensor,
    dtype: torch.dtype | None = None,
    device: Device = None,
    non_blocking: bool = False,
    copy: bool = False,
    stream: Any = None,
) -> Tensor:
    """The tensor in that type, on that device."""
    scope: Any = nullcontext() if stream is None else torch.cuda.stream(stream)
    with scope:
        return weight.to(
            device=weight.device if device is None else torch.device(device),
            dtype=dtype or weight.dtype,
            non_blocking=non_blocking,
            copy=copy,
        )


def cast_to_device(
    tensor: Tensor, device: Device, dtype: torch.dtype | None, copy: bool = False
) -> Tensor:
    """As `cast_to`."""
    return cast_to(tensor, dtype=dtype, device=device, copy=copy)


def device_supports_non_blocking(device: Device) -> bool:
    """Whether copies to it may go on in the background."""
    return is_device_cuda(device)


def device_should_use_non_blocking(device: Device) -> bool:
    """Whether they should: not from memory that is not pinned."""
    return False


def force_channels_last() -> bool:
    """Whether convolutions keep channels last."""
    return False


def get_offload_stream(device: Device) -> None:
    """The stream on which weights are copied: none of its own."""


def sync_stream(device: Device, stream: Any) -> None:
    """Wait for such a stream."""
    if stream is not None:
        torch.cuda.current_stream().wait_stream(stream)


def pin_memory(tensor: Tensor) -> bool:
    """Whether the tensor was pinned: weights are mapped from files, which cannot be."""
    return False


unpin_memory = pin_memory

# Attention: torch's own does it all


def pytorch_attention_enabled() -> bool:
    """Whether torch's attention is in use."""
    return True


pytorch_attention_enabled_vae = pytorch_attention_enabled
pytorch_attention_flash_attention = pytorch_attention_enabled


def xformers_enabled() -> bool:
    """Whether that library's attention is in use."""
    return False


xformers_enabled_vae = sage_attention_enabled = flash_attention_enabled = xformers_enabled


def force_upcast_attention_dtype() -> dict[torch.dtype, torch.dtype] | None:
    """Types whose attention is computed in another."""
    return None


# Interruption

InterruptProcessingException = Interrupted  # the engine ends the prompt when it sees this


def throw_exception_if_processing_interrupted() -> None:
    """Raise if the prompt that runs is to stop."""
    if is_in_call():
        current_context().check_interrupted()


def processing_interrupted() -> bool:
    """Whether the prompt that runs is to stop."""
    try:
        throw_exception_if_processing_interrupted()
    except Interrupted:
        return True
    return False


def interrupt_current_processing(value: bool = True) -> None:
    """Have the prompt that runs stop. An interruption cannot be taken back."""
    if value:
        interrupt_prompt()
