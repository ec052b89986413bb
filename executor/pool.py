"""Keeps workers running: starts them, restarts lost ones, answers questions through any of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from executor.messages import Event, Loading, Ready
from executor.worker_interface import NoAnswer, Worker, WorkerLost

log = logging.getLogger(__name__)

MAX_BACKOFF_S: Final = 30.0
MAX_BACKOFF_KILLED_S: Final = 2.0  # who was killed may do better next time
FEW_FAILURES: Final = 2  # in a row, after which clients are told
STEADY_S: Final = 60.0  # a worker that lived so long is restarted without delay again


class Slot:
    """One place in the pool: a worker, or the wait for the next one."""

    def __init__(self, name: str, worker: Worker) -> None:
        self.name = name
        self.worker = worker
        self.is_ready = False
        self.is_busy = False  # owned by the dispatcher: it has handed over a prompt
        self.last_used = 0  # grows with each prompt of the pool
        self.ready: Ready | None = None  # what the worker last told about itself
        self.loading: str | None = None  # the node pack whose code it runs while it starts
        self.prompts = 0  # that the worker was given
        self.unfit: str | None = None  # why the worker is to be replaced after its prompt
        self.is_replaced = False  # the worker is being ended for a new one: not its fault


class PoolOwner(Protocol):
    """Who takes the workers' events, one at a time for each slot."""

    async def on_event(self, slot: Slot, event: Event) -> None:
        """A worker reports something."""

    async def on_lost(self, slot: Slot, reason: str) -> None:
        """A worker ended without being asked to; the slot will get a new one."""


class Pool:
    """A fixed number of workers. `make_worker` gets the worker's name."""

    def __init__(
        self,
        make_worker: Callable[[str], Worker],
        size: int = 1,
        *,
        backoff_s: float = 0.5,
        max_prompts: int = 0,
        max_bytes: int = 0,
    ) -> None:
        """Workers are replaced after so many prompts, or with more memory than that (0: not)."""
        self.on_failing: Callable[[str], None] = lambda reason: None  # workers cannot start
        self._max_prompts = max_prompts
        self._max_bytes = max_bytes
        self._make_worker = make_worker
        self._backoff_s = backoff_s
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()  # set whenever a worker becomes ready
        self._is_stopping = False
        self._left_out: dict[
            str, str
        ] = {}  # packs whose import has ended a worker -> what they did
        self._killed_in: set[str] = set()  # packs in whose import a worker was killed
        names = [f"worker-{number}" for number in range(1, size + 1)]
        self.slots = [Slot(name, make_worker(name)) for name in names]

    @property
    def devices(self) -> list[dict[str, Any]]:
        """Device entries of all workers that were ready once, for /system_stats."""
        return [device for slot in self.slots if slot.ready for device in slot.ready.devices]

    @property
    def site(self) -> str | None:
        """The socket on which a worker that is up serves the routes of node packs."""
        ready = (slot.ready for slot in self.slots if slot.is_ready)
        return next((told.site for told in ready if told is not None and told.site), None)

    @property
    def versions(self) -> dict[str, str]:
        """Package versions as the workers told them; empty before the first was ready."""
        return next((slot.ready.versions for slot in self.slots if slot.ready), {})

    def fingerprint(self) -> str:
        """Of what the workers' node definitions come from; reads folders: call it in a thread."""
        return self.slots[0].worker.fingerprint()

    def replace(self, slot: Slot, reason: str) -> None:
        """End the worker at once; the slot gets a new one, and its owner hears of `on_lost`."""
        slot.is_ready = False
        slot.is_replaced = True
        slot.worker.kill(reason)

    def replace_if_used_up(self, slot: Slot) -> None:
        """After a prompt: end a worker that has run enough of them, has much memory, or hangs."""
        size = slot.worker.memory_bytes() if self._max_bytes else 0
        if slot.unfit is not None:
            self.replace(slot, slot.unfit)
        elif self._max_prompts and slot.prompts >= self._max_prompts:
            self.replace(slot, f"has run {slot.prompts} prompts, as many as a worker may")
        elif size > self._max_bytes:
            self.replace(slot, f"has {size / 2**30:.1f} GB of memory, more than a worker may keep")

    def start(self, owner: PoolOwner) -> None:
        """Start all workers in the background."""
        self._tasks = [asyncio.create_task(self._keep(slot, owner)) for slot in self.slots]

    async def stop(self, wait_s: float) -> None:
        """End all workers. Idempotent."""
        self._is_stopping = True
        await asyncio.gather(*(slot.worker.stop(wait_s) for slot in self.slots))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for slot in self.slots:
            slot.is_ready = False

    async def wait_ready(self, wait_s: float) -> None:
        """Wait until a worker takes prompts; raises TimeoutError."""
        async with asyncio.timeout(wait_s):
            while not any(slot.is_ready for slot in self.slots):
                self._changed.clear()
                await self._changed.wait()

    async def call(
        self, method: str, arguments: dict[str, Any], *, wait_s: float, answer_s: float
    ) -> Any:
        """Ask a ready worker, waiting for one first; an idle one is preferred.

        A worker that does not answer in time is replaced, once it runs no prompt.

        Raises CallFailed, WorkerLost, TimeoutError without a worker, or NoAnswer.
        """
        await self.wait_ready(wait_s)
        ready = [slot for slot in self.slots if slot.is_ready]
        slot = min(ready, key=lambda slot: slot.is_busy)
        worker = slot.worker
        try:
            return await worker.call(method, arguments, answer_s)
        except TimeoutError:
            reason = f"was asked '{method}' and had no answer after {answer_s:g} s"
            if slot.worker is worker:
                self._replace_when_idle(slot, reason)
            raise NoAnswer(f"worker '{slot.name}' {reason}") from None

    def _replace_when_idle(self, slot: Slot, reason: str) -> None:
        """A thread of the worker hangs. The prompt that it runs may end: it is somebody else's."""
        if slot.is_busy:
            slot.unfit = reason
        elif not slot.is_replaced:
            self.replace(slot, reason)

    async def _keep(self, slot: Slot, owner: PoolOwner) -> None:
        """Run one slot: a worker, and the next one when it is lost."""
        failures = 0
        while not self._is_stopping:
            began, is_own_fault = time.monotonic(), True
            try:
                await self._run(slot, owner)
                return
            except (WorkerLost, OSError) as error:
                reason = str(error)
                is_own_fault = not isinstance(error, WorkerLost) or error.is_own_fault
            except Exception as error:  # one bad event must not leave the slot without a worker
                log.exception("an event of worker '%s' could not be handled", slot.name)
                reason = f"worker '{slot.name}' reported what cannot be handled: {error}"
            was_ready, slot.is_ready = slot.is_ready, False
            if self._is_stopping:
                return
            log.log(logging.INFO if slot.is_replaced else logging.ERROR, "%s", reason)
            try:
                await owner.on_lost(slot, reason)
            except Exception:  # the slot gets a new worker all the same
                log.exception("what '%s' had cannot be taken back", slot.name)
            await slot.worker.stop(0)
            if slot.loading is not None:  # it goes better without that pack
                if is_own_fault or slot.loading in self._killed_in:
                    self._leave_out(slot.loading, reason)
                self._killed_in.add(slot.loading)
                slot.loading = None
                failures = 0
            elif slot.is_replaced or was_ready or time.monotonic() - began >= STEADY_S:
                failures = 0  # it can start
            else:
                failures += 1
            if failures > FEW_FAILURES and is_own_fault:
                self.on_failing(reason)
            if failures > 1:  # the first restart is immediate
                most = MAX_BACKOFF_S if is_own_fault else MAX_BACKOFF_KILLED_S
                await asyncio.sleep(min(self._backoff_s * 2 ** min(failures - 2, 16), most))
            slot.prompts, slot.is_replaced, slot.unfit = 0, False, None
            slot.worker = self._make_worker(slot.name)

    def _leave_out(self, pack: str, reason: str) -> None:
        """Workers that start from now on do not load this pack."""
        log.error("node pack '%s' is left out until the server is started again", pack)
        self._left_out[pack] = f"importing it ended the worker: {reason}"

    async def _run(self, slot: Slot, owner: PoolOwner) -> None:
        await slot.worker.start(self._left_out)
        async for event in slot.worker.events():
            if isinstance(event, Loading):
                slot.loading = event.pack
            elif isinstance(event, Ready):
                slot.ready = event
                slot.is_ready = True
                self._changed.set()
            await owner.on_event(slot, event)
