"""A listener that writes down what it is told, for tests of the dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from executor.jobs import Address, Job
from executor.messages import Emit, Log, NodeText, PackMessage, Preview, Progress

DEADLINE_S = 60.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true; look often, it costs little."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


class RecordingListener:
    """Implements `executor.listener.Listener`."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []  # in order: what, and about what
        self.emitted: list[tuple[str | None, Emit]] = []
        self.finished: list[Job] = []
        self.on_finish: Callable[[Job], None] = lambda job: None
        self._changed = asyncio.Event()

    def on_status(self, queue_remaining: int) -> None:
        self._note("status", queue_remaining)

    def on_emit(self, to: Address, event: Emit) -> None:
        self.emitted.append((to.client_id, event))
        self._note("emit", event.prompt_id, event.type)

    def on_preview(self, to: Address, event: Preview) -> None:
        self._note("preview", to.client_id, event.image)

    def on_text(self, to: Address, event: NodeText) -> None:
        self._note("text", to.client_id, event.node_id, event.text)

    def on_pack_message(self, to: Address, event: PackMessage) -> None:
        self._note("pack_message", to.client_id, event.body)

    def on_progress(self, event: Progress) -> None:
        self._note("progress", event.node_id)

    def on_log(self, worker: str, event: Log) -> None:
        self._note("log", worker, event.message)

    def on_finished(self, job: Job) -> None:
        self.finished.append(job)
        self._note("finished", job.prompt_id)
        self.on_finish(job)

    def supports_preview_metadata(self, client: Address) -> bool:
        return client.client_id == "modern"

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something that the listener is told makes the condition true."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_finished(self, *prompt_ids: str) -> None:
        """Wait until these jobs are over."""
        await self.wait_for(
            lambda: set(prompt_ids) <= {job.prompt_id for job in self.finished},
        )

    def _note(self, *what: object) -> None:
        self.told.append(what)
        self._changed.set()
