"""The worker boundary: all that the server's side knows of a worker, wherever it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from executor.messages import Answer, Event, Execute


class WorkerLost(Exception):
    """The worker ended or stopped answering."""

    def __init__(self, reason: str, *, is_own_fault: bool = True) -> None:
        """`is_own_fault`: False if it was killed, by someone or for want of memory."""
        super().__init__(reason)
        self.reason = reason
        self.is_own_fault = is_own_fault


class CallFailed(Exception):
    """The worker answered a call with an error."""


class NoAnswer(Exception):
    """The worker did not answer a call in time."""


class Worker(Protocol):
    """One worker: runs one prompt at a time and reports events.

    Implementations: `executor.local_worker.LocalWorker` (a process on this machine) and
    `executor.memory_worker.MemoryWorker` (in this process, for tests).
    """

    name: str

    def fingerprint(self) -> str:
        """Of the code and node folders that its definitions come from; reads folders.

        May be called before `start`, in a thread.
        """

    async def start(self, left_out: Mapping[str, str] | None = None) -> None:
        """Launch it; `Ready` arrives among the events once it takes prompts.

        `left_out` are node packs that it is not to load, with the reason for each.
        """

    async def execute(self, command: Execute) -> None:
        """Hand over a prompt; its `Finished` arrives among the events."""

    async def interrupt(self, prompt_id: str) -> None:
        """Ask the running prompt to stop if it is this one."""

    async def call(self, method: str, arguments: dict[str, Any], wait_s: float) -> Any:
        """Ask and wait. Raises `CallFailed`, `WorkerLost` or `TimeoutError`."""

    async def answer(self, answer: Answer) -> None:
        """Answer one of its `Ask` events."""

    async def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Give memory back after the running prompt."""

    def memory_bytes(self) -> int:
        """Memory that it has for itself; 0 if that is not known."""

    def kill(self, reason: str) -> None:
        """End it at once; `events` then raises `WorkerLost` with this reason."""

    async def stop(self, wait_s: float) -> None:
        """End it, by force when it does not end in time. Idempotent."""

    def events(self) -> AsyncIterator[Event]:
        """Everything it reports, in order; ends by raising `WorkerLost`, or after `stop`."""
