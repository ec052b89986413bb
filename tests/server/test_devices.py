"""The devices of /system_stats, with workers on GPUs that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from executor.calls import DEVICE_STATS
from executor.memory_worker import Answer, MemoryWorker
from executor.messages import Event
from executor.pool import Pool, Slot
from server.devices import Devices, merge
from server.nvml import Nvml
from tests.executor.listening import eventually
from tests.server.test_nvml import Library

KEYS = {
    *("name", "type", "index"),
    *("vram_total", "vram_free", "torch_vram_total", "torch_vram_free"),
}


def gpu(index: int, *, free: int = 50, reserved: int = 0, unused: int = 0) -> dict[str, Any]:
    return {
        "name": f"cuda:{index} GPU",
        "type": "cuda",
        "index": index,
        "vram_total": 100,
        "vram_free": free + unused,
        "torch_vram_total": reserved,
        "torch_vram_free": unused,
        "uuid": f"uuid-{index}",
    }


class Owner:
    async def on_event(self, slot: Slot, event: Event) -> None:
        pass

    async def on_lost(self, slot: Slot, reason: str) -> None:
        pass


@asynccontextmanager
async def running(
    devices: list[dict[str, Any]], answer: Callable[[int], Answer]
) -> AsyncIterator[Pool]:
    """A pool with one worker for each entry, which answers as told."""

    def make(name: str) -> MemoryWorker:
        number = int(name.rpartition("-")[2]) - 1
        return MemoryWorker(name, devices=[devices[number]], answers={DEVICE_STATS: answer(number)})

    pool = Pool(make, len(devices))
    pool.start(Owner())
    await eventually(lambda: all(slot.is_ready for slot in pool.slots))
    try:
        yield pool
    finally:
        await pool.stop(0.1)


def says(*entries: dict[str, Any]) -> Callable[[int], Answer]:
    return lambda number: lambda _arguments: [entries[number]]


def is_silent(_number: int) -> Answer:
    def answer(_arguments: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().create_future()

    return answer


def no_driver() -> Nvml:
    return Nvml(lambda: Library(has_driver=False))


async def test_each_gpu_is_listed_the_first_workers_first() -> None:
    told = [gpu(3, free=10), gpu(1, free=20)]
    async with running([gpu(3), gpu(1)], says(*told)) as pool:
        entries = await Devices(no_driver()).entries(pool, 7, 5)
    assert [(entry["index"], entry["vram_free"]) for entry in entries] == [(3, 10), (1, 20)]
    assert all(set(entry) == KEYS for entry in entries)


async def test_workers_on_one_gpu_list_it_once_with_the_sum_of_their_parts() -> None:
    told = [gpu(0, free=30, reserved=20, unused=5), gpu(0, free=30, reserved=40, unused=8)]
    async with running([gpu(0), gpu(0)], says(*told)) as pool:
        (entry,) = await Devices(no_driver()).entries(pool, 7, 5)
    assert (entry["torch_vram_total"], entry["torch_vram_free"]) == (60, 13)
    assert (entry["vram_total"], entry["vram_free"]) == (100, 43)


async def test_a_worker_that_does_not_answer_is_shown_with_older_figures() -> None:
    devices = Devices(no_driver())
    async with running([gpu(0, free=50)], is_silent) as pool:
        (entry,) = await devices.entries(pool, 7, 5)
    assert entry["vram_free"] == 50


async def test_the_driver_tells_the_memory_of_a_busy_gpu_without_asking_its_worker() -> None:
    asked = []

    def answer(_number: int) -> Answer:
        def tell(_arguments: Any) -> list[dict[str, Any]]:
            asked.append(1)
            return [gpu(0, free=1, reserved=9, unused=4)]

        return tell

    library = Library({"GPU-uuid-0": 66})
    devices = Devices(Nvml(lambda: library))
    async with running([gpu(0)], answer) as pool:
        (entry,) = await devices.entries(pool, 7, 5)
        assert (entry["vram_free"], entry["torch_vram_total"], len(asked)) == (70, 9, 1)
        pool.slots[0].is_busy = True
        library.free["GPU-uuid-0"] = 11
        (entry,) = await devices.entries(pool, 7, 5)
    assert (entry["vram_free"], entry["torch_vram_total"], len(asked)) == (15, 9, 1)


async def test_a_gpu_that_the_driver_does_not_know_keeps_its_workers_figures() -> None:
    async with running([gpu(0)], says(gpu(0, free=12))) as pool:
        (entry,) = await Devices(Nvml(lambda: Library())).entries(pool, 7, 5)
    assert (entry["vram_total"], entry["vram_free"]) == (100, 12)


async def test_a_lost_worker_is_shown_with_its_last_figures() -> None:
    devices = Devices(no_driver())
    async with running([gpu(0)], says(gpu(0, free=12))) as pool:
        await devices.entries(pool, 7, 5)
        worker = pool.slots[0].worker
        assert isinstance(worker, MemoryWorker)
        worker.lose("crashed")
        (entry,) = await devices.entries(pool, 7, 5)
    assert entry["vram_free"] == 12


@pytest.mark.parametrize("workers", [0, 1, 2])
async def test_without_a_gpu_there_is_one_device_with_the_ram(workers: int) -> None:
    cpu: dict[str, Any] = {"name": "cpu", "type": "cpu", "index": None}
    async with running([cpu] * workers, is_silent) as pool:
        entries = await Devices(no_driver()).entries(pool if workers else None, 7, 5)
    assert entries == [
        cpu | {"vram_total": 7, "vram_free": 5, "torch_vram_total": 7, "torch_vram_free": 5}
    ]


def test_gpus_without_uuid_are_told_apart_by_their_number() -> None:
    first, second = gpu(0) | {"uuid": ""}, gpu(1) | {"uuid": ""}
    assert len(merge([first, second, first])) == 2
