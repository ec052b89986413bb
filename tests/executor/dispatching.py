"""A dispatcher over scripted workers, and scripts for them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from executor.dispatcher import Dispatcher
from executor.memory_worker import (
    MemoryWorker,
    Script,
    emitted,
    finished,
    succeed,
)
from executor.messages import Execute
from executor.pool import Pool
from executor.store import Store
from tests.executor.listening import RecordingListener


class Dispatching:
    """A dispatcher over scripted workers."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.listener = RecordingListener()
        self.workers: list[MemoryWorker] = []
        self.scripts: dict[str, list[Script]] = {}  # prompt id -> script of each attempt
        self.dispatcher: Dispatcher
        self.pool: Pool

    async def start(self, workers: int = 1, *, are_ready: bool = True, **options: Any) -> None:
        def make(name: str) -> MemoryWorker:
            worker = MemoryWorker(name, self._run, is_ready_at_once=are_ready)
            self.workers.append(worker)
            return worker

        self.pool = Pool(make, workers, backoff_s=0.01)
        self.dispatcher = Dispatcher(self.store, self.pool, self.listener, **options)
        await self.dispatcher.start()

    async def _run(self, worker: MemoryWorker, command: Execute) -> None:
        scripts = self.scripts.get(command.prompt_id, [])
        await (scripts.pop(0) if scripts else succeed)(worker, command)

    async def history_messages(self, prompt_id: str) -> list[Any]:
        entry = await self.store.finished_job(prompt_id)
        assert entry is not None
        messages = msgspec.json.decode(entry.result.messages)
        assert isinstance(messages, list)
        return messages

    def executed(self) -> list[str]:
        """The prompts that workers were given, worker by worker."""
        return [command.prompt_id for worker in self.workers for command in worker.executed]


def waiting_for(go_on: asyncio.Event) -> Script:
    async def script(worker: MemoryWorker, command: Execute) -> None:
        await go_on.wait()
        worker.report(finished(command.prompt_id))

    return script


def saying(text: bytes, then: Script, kind: str = "executing") -> Script:
    async def script(worker: MemoryWorker, command: Execute) -> None:
        worker.report(emitted(command.prompt_id, kind, text))
        await then(worker, command)

    return script
