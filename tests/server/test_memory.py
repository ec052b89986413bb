"""What /system_stats tells of workers' memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from executor.calls import MEMORY_STATS
from executor.memory_worker import MemoryWorker
from executor.messages import Event
from executor.pool import Pool, Slot
from server.memory import Memory
from tests.client import wait_until
from tests.conftest import ServerProcess
from tests.executor.listening import eventually


class Owner:
    async def on_event(self, slot: Slot, event: Event) -> None:
        pass

    async def on_lost(self, slot: Slot, reason: str) -> None:
        pass


async def test_each_worker_tells_what_it_holds_and_a_busy_one_what_it_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.memory._WAIT_S", 0.05)
    told = {"worker-1": 1, "worker-2": 2}
    silent: set[str] = set()

    def make(name: str) -> MemoryWorker:
        def answer(_: Any) -> Any:
            if name in silent:
                never: Awaitable[Any] = asyncio.get_running_loop().create_future()
                return never
            return {"rss": told[name]}

        return MemoryWorker(name, devices=[], answers={MEMORY_STATS: answer})

    pool, memory = Pool(make, 2), Memory()
    assert await memory.entries(None) == []
    pool.start(Owner())
    await eventually(lambda: all(slot.is_ready for slot in pool.slots))
    try:
        first = [{"worker": "worker-1", "rss": 1}, {"worker": "worker-2", "rss": 2}]
        assert await memory.entries(pool) == first
        told["worker-1"], told["worker-2"] = 3, 4
        silent.add("worker-2")
        assert await memory.entries(pool) == [{"worker": "worker-1", "rss": 3}, first[1]]
    finally:
        await pool.stop(0.1)


def test_the_extension_has_the_documented_keys(server_process: ServerProcess) -> None:
    def told() -> Any:
        return server_process.client.get("/system_stats").json()["darkroom"]["workers"]

    (worker,) = wait_until(told, what="the worker is up")
    assert set(worker) == {
        *("worker", "rss", "files", "file_loads", "loads", "loaded_bytes", "evictions"),
        *("streamed", "models"),
    }
    assert worker["worker"] == "worker-1"
    assert worker["rss"] > 0
