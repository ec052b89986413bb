"""What every implementation of a worker promises to the pool and the dispatcher."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from executor.local_worker import LocalWorker
from executor.memory_worker import MemoryWorker, Script, emitted, finished
from executor.messages import Emit, Event, Execute, Finished, Ready
from executor.worker_config import WorkerConfig
from executor.worker_interface import CallFailed, Worker, WorkerLost

DEADLINE_S = 240.0  # a worker imports torch first


class Running:
    """A worker that was started, and what it has reported so far."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.events: list[Event] = []
        self.lost: WorkerLost | None = None
        self.has_ended = False
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.worker.events():
                self.events.append(event)
                self._changed.set()
        except WorkerLost as lost:
            self.lost = lost
        self.has_ended = True
        self._changed.set()

    async def wait_for(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def finished(self, prompt_id: str) -> Finished:
        def found() -> list[Finished]:
            return [event for event in self.of(Finished) if event.prompt_id == prompt_id]

        await self.wait_for(found)
        return found()[0]

    async def close(self) -> None:
        await self.worker.stop(5)
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading


async def like_a_process(worker: MemoryWorker, command: Execute) -> None:
    """Does what the graphs of these tests ask for."""
    worker.report(emitted(command.prompt_id, "execution_start"))
    worker.report(emitted(command.prompt_id, "executing"))
    worker.report(finished(command.prompt_id, outputs={"2": {"images": [{}]}}))


def make_memory_worker(base: Path, script: Script = like_a_process) -> MemoryWorker:
    return MemoryWorker("w", script, answers={"device_stats": lambda arguments: [{}]})


def make_local_worker(base: Path) -> LocalWorker:
    return LocalWorker("w", WorkerConfig(base=str(base), cpu=True, heartbeat_s=0.2))


@pytest.fixture(params=[make_memory_worker, make_local_worker], ids=["memory", "local"])
async def running(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    worker = request.param(tmp_path)
    await worker.start()
    running = Running(worker)
    yield running
    await running.close()


def trivial(prompt_id: str) -> Execute:
    return Execute(
        prompt_id=prompt_id,
        prompt={
            "1": {
                "class_type": "EmptyImage",
                "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 3},
            },
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        },
        outputs=["2"],
        extra_data={},
    )


class TestWorker:
    """One test for the whole life of a worker: a process takes long to start."""

    async def test_a_worker_lives_as_promised(self, running: Running) -> None:
        worker = running.worker
        assert worker.name == "w"
        assert worker.fingerprint() == worker.fingerprint()

        # It is ready before it reports anything about prompts, and says what it has.
        await running.wait_for(lambda: running.of(Ready))
        (ready,) = running.of(Ready)
        assert ready.devices and ready.versions
        assert ready.fingerprint == worker.fingerprint()

        # Prompts run one after another; the end of each is its last event.
        for prompt_id in ("a", "b"):
            await worker.execute(trivial(prompt_id))
        assert (await running.finished("b")).succeeded
        ends = [event.prompt_id for event in running.of(Finished)]
        assert ends == ["a", "b"]
        of_prompts = [
            (event.prompt_id, type(event))
            for event in running.events
            if isinstance(event, Emit | Finished)
        ]
        assert [prompt_id for prompt_id, _ in of_prompts] == sorted(p for p, _ in of_prompts)
        assert "images" in running.of(Finished)[0].outputs["2"]
        assert running.of(Emit)[0].type == "execution_start"

        # Interrupting what does not run, and freeing memory, disturb nothing.
        await worker.interrupt("b")
        await worker.free(unload_models=True, free_memory=True)
        await worker.execute(trivial("c"))
        assert (await running.finished("c")).succeeded

        # Questions are answered, unknown ones with an error.
        assert await worker.call("device_stats", {}, DEADLINE_S)
        with pytest.raises(CallFailed, match="unknown call"):
            await worker.call("nonsense", {}, DEADLINE_S)

        # It ends when asked to, without being called lost.
        await worker.stop(5)
        await worker.stop(5)
        await running.wait_for(lambda: running.has_ended)
        assert running.lost is None
        with pytest.raises(WorkerLost):
            await worker.execute(trivial("d"))
        with pytest.raises(WorkerLost):
            await worker.interrupt("d")
        with pytest.raises(WorkerLost):
            await worker.call("device_stats", {}, DEADLINE_S)
