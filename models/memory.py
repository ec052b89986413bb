"""Where models compute, in which number types, and how much memory they may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import torch

from models.attention_kernels import Attention
from models.devices import HOME, CudaMemory, DeviceMemory, HostMemory
from models.gradients import as_wanted
from models.library import Library
from models.network import N, Network
from models.residents import Residents, Share

Precision = Literal["fp16", "bf16", "fp32", "fp8_e4m3fn", "fp8_e5m2"]
VramMode = Literal["gpu-only", "high", "normal", "low", "none"]

DTYPES: Final[dict[Precision, torch.dtype]] = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}
# What networks compute in where nothing is known of them, best first.
COMPUTED: Final = (torch.float16, torch.bfloat16, torch.float32)

_SHARES: Final[dict[VramMode, Share]] = {
    "gpu-only": "all",
    "high": "all",
    "normal": "fitting",
    "low": "half",
    "none": "none",
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Where models compute and in which number types; made once by `choose_policy`."""

    device: torch.device  # where diffusion models compute
    vae_device: torch.device
    text_device: torch.device
    unet_dtype: torch.dtype
    vae_dtype: torch.dtype
    text_dtype: torch.dtype
    unet_storage: torch.dtype | None = None  # a type of 8 bits that weights are kept in
    text_storage: torch.dtype | None = None
    is_unet_asked: bool = False  # whether a flag says what diffusion models compute in
    has_bf16: bool = False  # whether the device computes in bfloat16
    vram: VramMode = "normal"
    reserve_bytes: int = 0  # of the device, for others
    attention: Attention = field(default_factory=Attention)
    residents: Residents = field(compare=False)
    library: Library = field(compare=False, default_factory=Library)

    @contextmanager
    def using(self, network: Network[N], device: torch.device) -> Iterator[N]:
        """The module on its device, for one computation; without gradients but in training."""
        # Not inference_mode: nodes may write to results.
        with self.residents.using(network, device), as_wanted(), self.attention.active():
            yield network.module

    def denoiser_dtype(
        self, stored: torch.dtype | None, computed: Sequence[torch.dtype] = COMPUTED
    ) -> torch.dtype:
        """What a diffusion model computes in.

        `stored` is the type of its weights in the file, `computed` are those that its family bears,
        best first. A flag wins over everything. The CPU computes in float32. A GPU computes in the
        file's type where family and device bear it, else in the family's best.
        """
        if self.is_unet_asked or self.device.type == "cpu":
            return self.unet_dtype
        wanted = [stored] if stored in (torch.float16, torch.bfloat16) else []
        usable = [d for d in computed if d != torch.bfloat16 or self.has_bf16]
        return next((d for d in (*wanted, *usable) if d in usable), torch.float32)

    def may_widen(self, size: int) -> bool:
        """Whether a diffusion model may take so many bytes where it computes.

        One that may not keeps weights of half precision as they are, and they are widened layer by
        layer. Where the CPU computes, that is more than half of the memory that weights may take.
        """
        memory = self.residents.memory(self.device)
        return self.device != HOME or memory is None or size <= memory.total() // 2

    def on_cpu(self) -> Policy:
        """The same with text encoders on the CPU, whatever the device is."""
        return replace(self, text_device=HOME, text_dtype=torch.float32)


def choose_policy(
    *,
    cpu: bool = False,
    device_index: int | None = None,
    force: Precision | None = None,
    unet: Precision | None = None,
    vae: Precision | None = None,
    text: Precision | None = None,
    cpu_vae: bool = False,
    vram: VramMode = "normal",
    reserve_bytes: int = 0,
    max_vram: int | None = None,
    max_ram: int | None = None,
    attention: Attention | None = None,
    memory: DeviceMemory | None = None,
) -> Policy:
    """The policy that the flags ask for.

    The CPU computes in float32 unless a precision is asked for: it is the reference, and half
    precision is slower there. On CUDA the diffusion model and text encoder compute in float16; the
    VAE, which overflows in float16, in bfloat16 where the device has it, else in float32. Types of
    8 bits are what weights are kept in; what is computed in is as without them.
    `max_vram` and `max_ram` bound, in bytes, what is used of the device and what weights take at
    home. `memory` stands for another device than those of this machine.
    """
    device = memory.device if memory is not None else _device(cpu, device_index)
    is_home, is_cpu = device == HOME, device.type == "cpu"
    has_bf16 = not is_cpu and torch.cuda.is_bf16_supported()
    half: Precision = "fp32" if is_cpu else "fp16"
    wide: Precision = "bf16" if has_bf16 else "fp32"
    # A text encoder runs once a prompt: in the sparing modes it may as well do so on the CPU.
    text_at_home = is_home or vram in ("low", "none")
    unet_storage, text_storage = _storage(unet), _storage(text)
    asked_unet = None if unet_storage else unet
    asked_text = None if text_storage else text
    memories: list[DeviceMemory] = [HostMemory(max_ram)]
    if memory is not None:
        memories.append(memory)
    elif not is_home:
        computing = vram not in ("gpu-only", "high")
        memories.append(CudaMemory(device, max_vram, reserve_bytes, keeps_room=computing))
    return Policy(
        device=device,
        vae_device=HOME if cpu_vae else device,
        text_device=HOME if text_at_home else device,
        unet_dtype=DTYPES[asked_unet or force or half],
        vae_dtype=DTYPES[vae or force or ("fp32" if cpu_vae else wide)],
        text_dtype=DTYPES[asked_text or force or ("fp32" if text_at_home else half)],
        unet_storage=unet_storage,
        text_storage=text_storage,
        is_unet_asked=bool(asked_unet or force),
        has_bf16=has_bf16,
        vram=vram,
        reserve_bytes=reserve_bytes,
        attention=attention or Attention(),
        residents=Residents(*memories, share=_SHARES[vram]),
    )


def _storage(precision: Precision | None) -> torch.dtype | None:
    found = None if precision is None else DTYPES[precision]
    return found if found is not None and found.itemsize == 1 else None


def _device(cpu: bool, index: int | None) -> torch.device:
    if cpu or not torch.cuda.is_available():
        return HOME
    return torch.device("cuda", index or 0)
