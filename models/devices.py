"""How much memory devices have: the one that computes, and the machine's own."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import psutil
import torch

HOME: Final = torch.device("cpu")  # where weights wait, mapped from their files

# What is left free beside weights: activations of a 1024 x 1024 picture and the allocator's slack.
WORKING_BYTES: Final = 1_500_000_000
# Of the machine's memory, what weights leave to everything else: a tenth, and at least this much.
LEAST_HOST_RESERVE: Final = 1_000_000_000

_GROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")  # of the container, if there is one


class DeviceMemory(Protocol):
    """What decisions about weights ask of a device."""

    device: torch.device

    def total(self) -> int:
        """Bytes that it has, as far as they may be used."""

    def room(self, weights: int) -> int:
        """Bytes that further weights may take where residents have so many already."""

    def empty_cache(self) -> None:
        """Give memory that torch holds unused back to the device."""


class CudaMemory:
    """A GPU, of which `limit` bytes may be used; `reserve` of them are for others.

    Beside weights some memory is kept free to compute with, unless that is not wanted.
    """

    def __init__(
        self,
        device: torch.device,
        limit: int | None = None,
        reserve: int = 0,
        *,
        keeps_room: bool = True,
    ) -> None:
        self.device = device
        self._limit = limit
        self._kept = reserve + (WORKING_BYTES if keeps_room else 0)
        if limit is not None:  # torch itself then says that memory is out
            share = min(1.0, limit / total_bytes(device))
            torch.cuda.set_per_process_memory_fraction(share, device)

    def total(self) -> int:
        """The GPU's memory or the limit, whichever is less."""
        found = total_bytes(self.device)
        return found if self._limit is None else min(found, self._limit)

    def room(self, weights: int) -> int:
        """What is free now, less what is kept; other programs count as well."""
        free = free_bytes(self.device)
        if self._limit is not None:
            free = min(free, self._limit - torch.cuda.memory_allocated(self.device))
        return free - self._kept

    def empty_cache(self) -> None:
        """Give memory that torch holds unused back to the device."""
        empty_cache(self.device)


class HostMemory:
    """The machine's memory, of which weights may take `limit` bytes."""

    device = HOME

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit

    def total(self) -> int:
        """The machine's memory, the container's or the limit, whichever is least."""
        found = host_bytes()
        return found if self._limit is None else min(found, self._limit)

    def room(self, weights: int) -> int:
        """What is free now, less a tenth of all for everything else, or what the limit leaves."""
        total = host_bytes()
        beside = max(total // 10, LEAST_HOST_RESERVE)
        free = min(free_bytes(HOME), total - psutil.Process().memory_info().rss) - beside
        return free if self._limit is None else min(free, self._limit - weights)

    def empty_cache(self) -> None:
        """Give memory that the C library holds unused back to the system."""
        trim_heap()


class StatedMemory:
    """A device of a stated size that holds nothing but weights, to try decisions out.

    `cpu:0` computes as the CPU does, and is another device than home.
    """

    def __init__(self, total: int, device: str = "cpu:0") -> None:
        self.device = torch.device(device)
        self._total = total

    def total(self) -> int:
        """What was stated."""
        return self._total

    def room(self, weights: int) -> int:
        """What is left of that."""
        return self._total - weights

    def empty_cache(self) -> None:
        """There is none."""


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


def host_bytes() -> int:
    """The machine's memory, or the part of it that this container may use."""
    total = int(psutil.virtual_memory().total)
    try:
        limit = _GROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def empty_cache(device: torch.device) -> None:
    """Give memory that torch holds unused back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def trim_heap() -> None:
    """Give what the C library keeps for allocations to come back to the system.

    It does so by itself with large blocks only, and takes those below 32 MiB for small ones.
    """
    gc.collect()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim; other C libraries have none."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return found
