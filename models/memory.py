"""Decides the device and the number types of models, and which of them stay on the device."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import psutil
import torch

from models.network import N, Network

Precision = Literal["fp16", "bf16", "fp32"]
VramMode = Literal["gpu-only", "high", "normal", "low", "none"]

DTYPES: Final[dict[Precision, torch.dtype]] = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
}

# What is left free beside weights: activations of a 1024 x 1024 picture and the allocator's slack.
WORKING_BYTES: Final = 1_500_000_000


class Residents:
    """The networks that are on the compute device, least recently used first.

    `reserve` bytes are kept free. On the CPU every network is at home and nothing is evicted.
    """

    def __init__(self, device: torch.device, reserve: int = 0) -> None:
        self.device = device
        self.reserve = reserve
        self._networks: OrderedDict[int, Network[Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._networks)

    def use(self, network: Network[Any], device: torch.device) -> None:
        """Have `network` on `device` before it computes; others make room for it."""
        if device.type != "cpu":
            self._networks[id(network)] = network
            self._networks.move_to_end(id(network))
            if network.device != device:
                self.free(network.size() + WORKING_BYTES, keep=(network,))
        network.place(device)

    def free(self, wanted: int, keep: Collection[Network[Any]] = ()) -> list[Network[Any]]:
        """Send networks home, least recently used first, until so much is free; which ones went."""
        gone = []
        for network in list(self._networks.values()):
            if free_bytes(self.device) - self.reserve >= wanted:
                break
            if not any(network is kept for kept in keep):
                self.evict(network)
                gone.append(network)
        return gone

    def evict(self, network: Network[Any]) -> None:
        """Send a network home."""
        self._networks.pop(id(network), None)
        network.place(torch.device("cpu"))
        empty_cache(self.device)

    def unload_all(self) -> None:
        """Send every network home and give the memory back to the system."""
        for network in list(self._networks.values()):
            self.evict(network)
        gc.collect()
        empty_cache(self.device)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Where models compute and in which number types; made once by `choose_policy`."""

    device: torch.device  # where diffusion models compute
    vae_device: torch.device
    text_device: torch.device
    unet_dtype: torch.dtype
    vae_dtype: torch.dtype
    text_dtype: torch.dtype
    vram: VramMode = "normal"
    residents: Residents = field(compare=False)

    @contextmanager
    def using(self, network: Network[N], device: torch.device) -> Iterator[N]:
        """The module on its device, for one computation without gradients.

        The modes that hold little send it home right after.
        """
        self.residents.use(network, device)
        try:
            with torch.no_grad():  # not inference_mode: nodes may write to results
                yield network.module
        finally:
            if self.vram == "none" and device.type != "cpu":
                self.residents.evict(network)


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
) -> Policy:
    """The policy that the flags ask for.

    The CPU computes in float32 unless a precision is asked for: it is the reference, and half
    precision is slower there. On CUDA the diffusion model and text encoder compute in float16; the
    VAE, which overflows in float16, in bfloat16 where the device has it, else in float32.
    """
    device = _device(cpu, device_index)
    on_cpu = device.type == "cpu"
    half: Precision = "fp32" if on_cpu else "fp16"
    wide: Precision = "bf16" if not on_cpu and torch.cuda.is_bf16_supported() else "fp32"
    vae_device = torch.device("cpu") if cpu_vae else device
    # A text encoder runs once a prompt: in the sparing modes it may as well do so on the CPU.
    text_on_cpu = on_cpu or vram in ("low", "none")
    return Policy(
        device=device,
        vae_device=vae_device,
        text_device=torch.device("cpu") if text_on_cpu else device,
        unet_dtype=DTYPES[unet or force or half],
        vae_dtype=DTYPES[vae or force or ("fp32" if cpu_vae else wide)],
        text_dtype=DTYPES[text or force or ("fp32" if text_on_cpu else half)],
        vram=vram,
        residents=Residents(device, reserve_bytes),
    )


def _device(cpu: bool, index: int | None) -> torch.device:
    if cpu or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", index or 0)


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, that which torch holds but does not use included."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + held)


def total_bytes(device: torch.device) -> int:
    """All memory of a device."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().total)
    return int(torch.cuda.mem_get_info(device)[1])


def empty_cache(device: torch.device) -> None:
    """Give memory that torch holds unused back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
