"""A worker inside this process that follows a script: the twin of LocalWorker, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from executor import messages
from executor.definitions import NodeDefinition
from executor.messages import Emit, Event, Execute, Finished, JsonObject, Ready
from executor.packs import LoadedPacks
from executor.worker_interface import CallFailed, WorkerLost

Script: TypeAlias = Callable[["MemoryWorker", Execute], Awaitable[None]]
Answer: TypeAlias = Callable[[JsonObject], Any]


async def succeed(worker: MemoryWorker, command: Execute) -> None:
    """The script of a prompt whose outputs all show nothing."""
    worker.report(finished(command.prompt_id))


async def crash(worker: MemoryWorker, command: Execute) -> None:
    """The script of a prompt that ends its worker."""
    worker.lose("crashed")


async def wait_for_interrupt(worker: MemoryWorker, command: Execute) -> None:
    """The script of a prompt that runs until it is interrupted."""
    await worker.interrupted(command.prompt_id)
    worker.report(finished(command.prompt_id, succeeded=False, interrupted=True))


class MemoryWorker:
    """Implements `executor.worker_interface.Worker`. `script` is run once for each prompt."""

    def __init__(
        self,
        name: str,
        script: Script = succeed,
        *,
        definitions: list[NodeDefinition] | None = None,
        answers: Mapping[str, Answer] | None = None,
        devices: list[JsonObject] | None = None,
        is_ready_at_once: bool = True,
        packs: LoadedPacks | None = None,
        site: str | None = None,
    ) -> None:
        self.name = name
        self.executed: list[Execute] = []
        self.freed: list[tuple[bool, bool]] = []  # unload_models, free_memory
        self.answered: list[messages.Answer] = []
        self.left_out: dict[str, str] = {}
        self.memory = 0
        self._script = script
        self._definitions = definitions or []
        self._devices = devices or [{"name": name, "type": "cpu"}]
        self._answers = dict(answers or {})
        self._is_ready_at_once = is_ready_at_once
        self._packs = packs or LoadedPacks()
        self._site = site
        self._events: asyncio.Queue[Event | WorkerLost | None] = asyncio.Queue()
        self._prompts: asyncio.Queue[Execute] = asyncio.Queue()
        self._interrupts: dict[str, asyncio.Event] = {}
        self._runner: asyncio.Task[None] | None = None
        self._is_gone = False

    def fingerprint(self) -> str:
        """Of the code and node folders that the definitions come from."""
        return "memory"

    async def start(self, left_out: Mapping[str, str] | None = None) -> None:
        """Begin to take prompts; `Ready` is the first event."""
        self.left_out = dict(left_out or {})
        self._runner = asyncio.create_task(self._run())
        if self._is_ready_at_once:
            self.become_ready()

    def become_ready(self) -> None:
        """Report `Ready`."""
        self.report(
            Ready(
                devices=self._devices,
                versions={"torch": "0"},
                definitions=[msgspec.to_builtins(d) for d in self._definitions],
                fingerprint=self.fingerprint(),
                packs=self._packs,
                site=self._site,
            )
        )

    async def execute(self, command: Execute) -> None:
        """Run the script for a prompt; prompts wait for one another."""
        self._check()
        self._interrupts[command.prompt_id] = asyncio.Event()
        self.executed.append(command)
        self._prompts.put_nowait(command)

    async def interrupt(self, prompt_id: str) -> None:
        """Let `interrupted` return, if this prompt was handed over."""
        self._check()
        if prompt_id in self._interrupts:
            self._interrupts[prompt_id].set()

    async def interrupted(self, prompt_id: str) -> None:
        """For scripts: wait until somebody interrupts the prompt."""
        await self._interrupts[prompt_id].wait()

    async def call(self, method: str, arguments: dict[str, Any], wait_s: float) -> Any:
        """The scripted answer."""
        self._check()
        if method not in self._answers:
            raise CallFailed(f"ValueError: unknown call '{method}'")
        async with asyncio.timeout(wait_s):
            answer = self._answers[method](arguments)
            return await answer if isinstance(answer, Awaitable) else answer

    async def answer(self, answer: messages.Answer) -> None:
        """Note the answer in `answered`."""
        self._check()
        self.answered.append(answer)

    async def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Note the request in `freed`."""
        self._check()
        self.freed.append((unload_models, free_memory))

    def memory_bytes(self) -> int:
        """As scripts set it."""
        return self.memory

    def kill(self, reason: str) -> None:
        """End it at once; `events` then raises `WorkerLost` with this reason."""
        self.lose(reason)

    async def stop(self, wait_s: float) -> None:
        """End it. Idempotent."""
        if not self._is_gone:
            self._is_gone = True
            self._events.put_nowait(None)
        await self._end_runner()

    async def events(self) -> AsyncIterator[Event]:
        """Everything it reports, in order; ends by raising `WorkerLost`, or after `stop`."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, WorkerLost):
                await self._end_runner()
                raise event
            yield event

    def report(self, event: Event) -> None:
        """For scripts: say something."""
        if not self._is_gone:
            self._events.put_nowait(event)

    def lose(self, reason: str, *, is_own_fault: bool = True) -> None:
        """For scripts: die."""
        if not self._is_gone:
            self._is_gone = True
            lost = WorkerLost(f"worker '{self.name}' {reason}", is_own_fault=is_own_fault)
            self._events.put_nowait(lost)

    async def _run(self) -> None:
        while not self._is_gone:
            await self._script(self, await self._prompts.get())

    async def _end_runner(self) -> None:
        if self._runner is not None and self._runner is not asyncio.current_task():
            self._runner.cancel()
            await asyncio.wait([self._runner])

    def _check(self) -> None:
        if self._is_gone:
            raise WorkerLost(f"worker '{self.name}' is gone")


def finished(
    prompt_id: str,
    *,
    succeeded: bool = True,
    interrupted: bool = False,
    outputs: JsonObject | None = None,
) -> Finished:
    """A `Finished` event with one final message."""
    kind = "execution_success" if succeeded else "execution_error"
    if interrupted:
        kind = "execution_interrupted"
    return Finished(
        prompt_id=prompt_id,
        succeeded=succeeded,
        interrupted=interrupted,
        outputs=outputs or {},
        meta={},
        messages=[(kind, {"prompt_id": prompt_id})],
    )


def emitted(prompt_id: str, kind: str, text: bytes = b"{}") -> Emit:
    """An `Emit` event."""
    return Emit(prompt_id=prompt_id, type=kind, text=text)
