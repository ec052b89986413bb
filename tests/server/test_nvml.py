"""The driver is asked where it is, and not missed where it is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from server.nvml import GpuMemory, Nvml


class NVMLError(Exception):
    pass


@dataclass
class Library:
    """The part of pynvml that is used, with these GPUs: UUID -> free memory of 100."""

    free: dict[str, int] = field(default_factory=dict)
    has_driver: bool = True
    started: int = 0
    NVMLError = NVMLError

    def nvmlInit(self) -> None:
        self.started += 1
        if not self.has_driver:
            raise NVMLError("no driver")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in self.free:
            raise NVMLError("not found")
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(total=100, free=self.free[handle], used=100 - self.free[handle])


def test_the_memory_of_a_gpu_is_that_of_this_moment() -> None:
    library = Library({"GPU-a": 70})
    nvml = Nvml(lambda: library)
    assert nvml.memory("a") == nvml.memory("GPU-a") == GpuMemory(total=100, free=70)
    library.free["GPU-a"] = 20
    assert nvml.memory("a") == GpuMemory(total=100, free=20)
    assert library.started == 1


def test_a_gpu_that_the_driver_does_not_know_has_no_figures() -> None:
    nvml = Nvml(lambda: Library())
    assert nvml.memory("a") is None
    assert nvml.is_available()


def test_without_a_driver_it_is_asked_once() -> None:
    library = Library({"GPU-a": 70}, has_driver=False)
    nvml = Nvml(lambda: library)
    assert (nvml.is_available(), nvml.memory("a"), library.started) == (False, None, 1)


def test_without_the_package_there_are_no_figures() -> None:
    tries = []

    def load() -> Any:
        tries.append(1)
        raise ImportError

    nvml = Nvml(load)
    assert (nvml.is_available(), nvml.memory("a"), len(tries)) == (False, None, 1)
