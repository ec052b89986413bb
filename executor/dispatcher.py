"""Hands queued jobs to idle workers and carries what they report to the store and to clients."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any, Final

from executor.active import Active, ActiveJobs, Snapshot
from executor.endings import (
    Ending,
    cancelled_message,
    ending_of,
    failed_ending,
    lost_ending,
    message_data,
    overtaken_ending,
)
from executor.handover import execute_command
from executor.jobs import Address, Job, JobState
from executor.listener import Listener
from executor.messages import (
    Ask,
    Emit,
    Event,
    Finished,
    FoldersChanged,
    JsonObject,
    Log,
    NodeText,
    PackMessage,
    Preview,
    Progress,
    Ready,
)
from executor.pack_answers import answer, cannot_answer
from executor.pending import PendingJobs, Ticket
from executor.pool import Pool, Slot
from executor.store import Store, now_ms
from executor.worker_interface import WorkerLost

log = logging.getLogger(__name__)

_PARK_S: Final = 2.0  # how long the end waits for the database


class Dispatcher:
    """The queue in motion. All methods are called on the event loop.

    The order of the queue is decided here, in memory; the store follows, in the same order.
    """

    def __init__(
        self,
        store: Store,
        pool: Pool,
        listener: Listener,
        *,
        max_attempts: int = 2,
        interrupt_grace_s: float = 10.0,
        on_ready: Callable[[Ready], None] = lambda ready: None,
    ) -> None:
        # What node packs ask for; the server, which knows, sets it.
        self.on_ask: Callable[[Ask], Awaitable[Any]] = cannot_answer
        # What a node of a job with an owner shows, before clients hear of it.
        self.on_shown: Callable[[Job, JsonObject], None] = lambda job, shown: None
        self.on_folders: Callable[[FoldersChanged], None] = lambda event: None
        self._store = store
        self._pool = pool
        self._listener = listener
        self._max_attempts = max_attempts
        self._interrupt_grace_s = interrupt_grace_s
        self._on_ready = on_ready
        self._pending = PendingJobs()
        self._active = ActiveJobs()
        self._secrets: dict[int, dict[str, str]] = {}  # by sequence; nowhere else
        self._next_number = 0
        self._prompts_started = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    async def start(self) -> None:
        """Take up what the database has queued, then start the workers."""
        for key in await self._store.waiting():
            self._pending.push(Ticket(*key))
        largest = await self._store.largest_waiting_number()
        self._next_number = 0 if largest is None else largest + 1
        self._pool.start(self)

    async def stop(self, wait_s: float) -> None:
        """End the workers; jobs that were running are queued again for the next start."""
        self._is_stopping = True
        await self._pool.stop(wait_s)
        for task in list(self._tasks):
            await asyncio.wait([task])
        back = [
            self._store.put_back(active.job.sequence, count_attempt=False)
            for active in self._active.clear()
        ]
        if back:  # the store may not get to it, and goes on trying while it closes
            await asyncio.wait(back, timeout=_PARK_S)

    def next_number(self) -> int:
        """The automatic priority of a request without `number` (use minus it for `front`)."""
        number = self._next_number
        self._next_number += 1
        return number

    @property
    def queue_remaining(self) -> int:
        """Waiting and running jobs."""
        return len(self._pending) + len(self._active)

    def remaining_of(self, owner: str | None) -> int:
        """Those of one owner."""
        return self._pending.count_of(owner) + self._active.count_of(owner)

    async def submit(self, job: Job, secrets: Mapping[str, str] | None = None) -> Job:
        """Queue a validated job; returns once it is on disk. Secrets stay in memory."""
        return await asyncio.shield(self._submit(job, secrets))  # a job on disk must get in line

    async def _submit(self, job: Job, secrets: Mapping[str, str] | None) -> Job:
        job = await self._store.add(job)
        if secrets:
            self._secrets[job.sequence] = dict(secrets)
        self._pending.push(Ticket.of(job), job)
        self._announce()
        self._dispatch_all()
        return job

    # With an `owner` the following change jobs of that owner only.

    async def cancel(self, prompt_ids: Collection[str], owner: str | None = None) -> int:
        """Take waiting jobs out of the queue; how many there were. Unknown ids are ignored."""
        return await self._cancelled(self._pending.remove(prompt_ids, owner))

    async def cancel_all(self, owner: str | None = None) -> int:
        """Take all waiting jobs out of the queue; how many there were."""
        return await self._cancelled(self._pending.clear(owner))

    async def stop_jobs(self, prompt_ids: Collection[str], owner: str | None = None) -> bool:
        """Take these jobs out of the queue, or stop them where they run; whether any was stopped.

        Where each stands is looked up before anything is awaited: a job cannot start in between.
        """
        waiting = self._pending.remove(prompt_ids, owner)
        running = self._active.mark_interrupted(self._pool.slots, frozenset(prompt_ids), owner)
        await self._send_interrupts(running)
        if waiting:
            await self._cancelled(waiting)
        return bool(waiting or running)

    async def interrupt(self, prompt_id: str | None = None, owner: str | None = None) -> bool:
        """Stop the running job of that id, or whatever runs; whether anything was running."""
        wanted = None if prompt_id is None else frozenset([prompt_id])
        running = self._active.mark_interrupted(self._pool.slots, wanted, owner)
        await self._send_interrupts(running)
        return bool(running)

    async def _send_interrupts(self, running: list[tuple[Slot, Active]]) -> None:
        loop = asyncio.get_running_loop()
        for slot, active in running:
            loop.call_later(self._interrupt_grace_s, self._end_worker_of, slot, active)
            try:
                await slot.worker.interrupt(active.job.prompt_id)
            except WorkerLost:
                continue  # on_lost ends the job

    def _end_worker_of(self, slot: Slot, active: Active) -> None:
        """The grace time of an interrupted job is over."""
        if self._active.has(slot, active):
            self._pool.replace(
                slot,
                f"was ended because job {active.job.prompt_id} went on for "
                f"{self._interrupt_grace_s:g} s after it was interrupted",
            )

    async def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Have every worker give memory back after its running job."""
        for slot in self._pool.slots:
            if slot.is_ready:
                try:
                    await slot.worker.free(unload_models=unload_models, free_memory=free_memory)
                except WorkerLost:
                    continue  # its successor has nothing to give back

    def running_for(self, client: Address) -> Snapshot | None:
        """Where the job of this client stands, for a socket that reconnects."""
        return self._active.snapshot_for(client)

    async def on_event(self, slot: Slot, event: Event) -> None:
        """A worker reports something. Implements `executor.pool.PoolOwner`."""
        match event:
            case Emit():
                self._forward(slot, event)
            case Preview():
                self._listener.on_preview(self._active.address_of(slot), event)
            case NodeText():
                self._listener.on_text(self._active.address_of(slot), event)
            case FoldersChanged():
                self.on_folders(event)
            case PackMessage():
                owner = event.owner or self._active.address_of(slot).owner
                self._listener.on_pack_message(Address(event.client_id, owner), event)
            case Ask():
                self._spawn(answer(slot.worker, event, self.on_ask))
            case Progress():
                self._listener.on_progress(event)
            case Finished():
                await self._finished(slot, event)
            case Log():
                self._listener.on_log(slot.name, event)
            case Ready():
                self._on_ready(event)
                self._dispatch_all()

    async def on_lost(self, slot: Slot, reason: str) -> None:
        """A worker died: its job is tried again, or ends. Implements `executor.pool.PoolOwner`."""
        active = self._active.take(slot)
        if active is None:
            return
        job = active.job
        if active.is_interrupted or job.attempts >= self._max_attempts:
            ending = lost_ending(job, reason, active.kept, active.executing, active.is_interrupted)
            await self._end(active, ending)
            return
        log.warning("job %s is tried again: %s", job.prompt_id, reason)
        is_stored = self._store.put_back(job.sequence, count_attempt=True)
        waiting = dataclasses.replace(job, state=JobState.QUEUED, worker=None)
        ticket = Ticket.of(job)
        # At once, so that it can be cancelled at any moment.
        self._pending.push(ticket, waiting if active.is_loaded else None)
        self._announce()
        self._dispatch_all()
        await is_stored

    def _forward(self, slot: Slot, event: Emit) -> None:
        active = self._active.get(slot)
        if active is not None:
            if not active.hear(event):
                return
            if event.type == "executed" and active.job.owner is not None:
                shown = message_data(event).get("output")
                self.on_shown(active.job, shown if isinstance(shown, dict) else {})
        self._listener.on_emit(self._active.address_of(slot), event)

    async def _finished(self, slot: Slot, event: Finished) -> None:
        """A run is over: give the worker its next job at once, then tell store and clients."""
        active = self._active.take(slot)
        if active is None or active.job.prompt_id != event.prompt_id:
            log.warning("%s reports the end of a job that it was not given", slot.name)
            return
        # An interrupt that was promised holds, also if the worker was done before it heard of it.
        is_overtaken = active.is_interrupted and not event.interrupted
        ending = (
            overtaken_ending(active.job, event, active.executing)
            if is_overtaken
            else ending_of(event)
        )
        if event.unfit is not None:
            self._pool.replace(slot, event.unfit)
        self._pool.replace_if_used_up(slot)
        is_stored = self._store.finish(active.job, ending.result)
        started = self._start_next(slot)
        await self._end(active, ending, is_stored)
        if started is not None:
            self._announce()
        self._dispatch_all()

    async def _end(
        self, active: Active, ending: Ending, is_stored: asyncio.Future[bool] | None = None
    ) -> None:
        """Record how a job ended; then tell clients, who read the history at once."""
        job = active.job
        if ending.announcement is not None:
            self._listener.on_emit(job.address, ending.announcement)
        try:
            await (is_stored or self._store.finish(job, ending.result))
        except Exception:
            log.exception("the end of job %s could not be stored", job.prompt_id)
        self._secrets.pop(job.sequence, None)
        self._announce()
        self._listener.on_finished(
            dataclasses.replace(
                job, state=ending.result.state, ended_at=now_ms(), error=ending.result.error
            )
        )

    def _dispatch_all(self) -> None:
        """Give work to idle workers; the one that worked last has its models at hand."""
        idle = [slot for slot in self._pool.slots if slot.is_ready and not slot.is_busy]
        for slot in sorted(idle, key=lambda slot: -slot.last_used):
            if self._start_next(slot) is None:
                return
            self._announce()

    def _start_next(self, slot: Slot) -> Active | None:
        """Take the next job out of the queue for this worker; None if there is none."""
        if self._is_stopping or slot.is_busy or not slot.is_ready:
            return None
        next_one = self._pending.pop()
        if next_one is None:
            return None
        ticket, job = next_one
        self._prompts_started += 1
        slot.last_used = self._prompts_started
        slot.prompts += 1
        active = Active.begin(ticket, job, slot.name)
        self._active.add(slot, active)
        self._store.start(ticket.sequence, slot.name)
        self._spawn(self._execute(slot, active))
        return active

    async def _execute(self, slot: Slot, active: Active) -> None:
        """Send a job to the worker that was chosen for it."""
        try:
            if not active.is_loaded and not await self._load(slot, active):
                return
            command = await execute_command(
                active.job,
                self._secrets.get(active.job.sequence, {}),
                supports_preview_metadata=self._listener.supports_preview_metadata(
                    active.job.address
                ),
            )
            if not self._active.has(slot, active):  # the worker died meanwhile
                return
            await slot.worker.execute(command)
            if active.is_interrupted:  # asked for before the worker knew of the job
                await slot.worker.interrupt(active.job.prompt_id)
        except WorkerLost:
            return  # on_lost takes care of the job
        except Exception as error:  # such as an integer that the wire format does not have
            log.exception("job %s cannot be handed to a worker", active.job.prompt_id)
            self._active.release(slot, active)
            reason = f"the job cannot be handed to a worker: {error}"
            if active.is_interrupted:
                ending = lost_ending(active.job, reason, (), None, is_interrupted=True)
            else:
                ending = failed_ending(active.job, reason)
            await self._end(active, ending)
            self._dispatch_all()

    async def _load(self, slot: Slot, active: Active) -> bool:
        """Read the content of a job that was not kept at hand; whether it is still wanted here."""
        stored = await self._store.job(active.job.sequence)
        if not self._active.has(slot, active):  # the worker died meanwhile
            return False
        if stored is None:
            log.error("job %s is no longer in the database", active.job.prompt_id)
            self._active.release(slot, active)
            self._dispatch_all()
            return False
        active.job = stored
        active.is_loaded = True
        if stored.is_damaged:
            self._active.release(slot, active)
            reason = "its record in the job database is damaged"
            await self._end(active, failed_ending(stored, reason))
            self._dispatch_all()
            return False
        if stored.attempts <= self._max_attempts:
            return True
        # It was running whenever a server died, and may be why.
        self._active.release(slot, active)
        active.job = dataclasses.replace(stored, attempts=stored.attempts - 1)
        reason = "the server ended while it ran"
        await self._end(active, lost_ending(active.job, reason, (), None, active.is_interrupted))
        self._dispatch_all()
        return False

    async def _cancelled(self, tickets: list[Ticket]) -> int:
        if tickets:
            try:
                cancelled = await self._store.cancel([ticket.sequence for ticket in tickets])
            except Exception:  # they would wait again after a restart, so they do now
                for ticket in tickets:
                    self._pending.push(ticket)
                self._dispatch_all()
                raise
            for prompt_id, address in cancelled:
                self._listener.on_emit(address, cancelled_message(prompt_id))
        for ticket in tickets:
            self._secrets.pop(ticket.sequence, None)
        self._announce()
        return len(tickets)

    def _announce(self) -> None:
        self._listener.on_status(self.queue_remaining)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
