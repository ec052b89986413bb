"""The jobs that workers have: one at a time each, with what was heard of it so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from executor.endings import message_data
from executor.jobs import Address, Job, JobState
from executor.messages import Emit
from executor.pending import Ticket
from executor.pool import Slot
from executor.store import now_ms

# Messages that the history keeps, should the worker not live to tell its own version.
_KEPT: Final = frozenset({"execution_start", "execution_cached"})

# The last messages of a run that nobody stopped.
_LAST: Final = frozenset({"execution_success", "execution_error"})


@dataclasses.dataclass(slots=True)
class Active:
    """A job that a worker has."""

    job: Job  # state running; without its content as long as `is_loaded` is False
    is_loaded: bool = True
    is_interrupted: bool = False  # a client asked for it, and was told that it will be so
    is_over: bool = False  # clients know how it ended: too late to interrupt it
    kept: list[Emit] = dataclasses.field(default_factory=list)  # start of the history's messages
    executing: Emit | None = None  # the last node that was announced
    progress_state: Emit | None = None  # the last state of all nodes

    @classmethod
    def begin(cls, ticket: Ticket, job: Job | None, worker: str) -> Active:
        """One more attempt at a job, whose content may be read later."""
        running = dataclasses.replace(
            job or _without_content(ticket),
            state=JobState.RUNNING,
            started_at=now_ms(),
            worker=worker,
        )
        return cls(dataclasses.replace(running, attempts=running.attempts + 1), job is not None)

    def hear(self, message: Emit) -> bool:
        """Note what its worker says; whether clients may hear it, too."""
        if message.type in _LAST:
            if self.is_interrupted:  # it will be told that it was interrupted
                return False
            self.is_over = True
        elif message.type == "executing":
            self.executing = message
        elif message.type == "progress_state":
            self.progress_state = message
        elif message.type in _KEPT:
            self.kept.append(message)
        return True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Where a running job stands."""

    node_id: str | None  # display id of the node that runs
    progress_state: Emit | None  # the last message of that type


class ActiveJobs:
    """Which worker has which job."""

    def __init__(self) -> None:
        self._of_slots: dict[str, Active] = {}  # by slot name

    def __len__(self) -> int:
        return len(self._of_slots)

    def add(self, slot: Slot, active: Active) -> None:
        """The worker has this job from now on."""
        slot.is_busy = True
        self._of_slots[slot.name] = active

    def take(self, slot: Slot) -> Active | None:
        """The job that the worker had; it is free now."""
        slot.is_busy = False
        return self._of_slots.pop(slot.name, None)

    def release(self, slot: Slot, active: Active) -> None:
        """Free the worker of this job, if it still has it."""
        if self.has(slot, active):
            self.take(slot)

    def get(self, slot: Slot) -> Active | None:
        """The job that the worker has."""
        return self._of_slots.get(slot.name)

    def has(self, slot: Slot, active: Active) -> bool:
        """Whether the worker still has this job; it may have died meanwhile."""
        return self._of_slots.get(slot.name) is active

    def clear(self) -> list[Active]:
        """All of them; no worker has any from now on."""
        active = list(self._of_slots.values())
        self._of_slots.clear()
        return active

    def count_of(self, owner: str | None) -> int:
        """How many jobs of this owner run."""
        return sum(active.job.owner == owner for active in self._of_slots.values())

    def address_of(self, slot: Slot) -> Address:
        """Who is told what the worker says."""
        active = self.get(slot)
        return Address(None) if active is None else active.job.address

    def mark_interrupted(
        self, slots: Sequence[Slot], wanted: frozenset[str] | None, owner: str | None
    ) -> list[tuple[Slot, Active]]:
        """The running jobs of these ids (None: all) that nobody has stopped; they will be now."""
        running = [
            (slot, active)
            for slot in slots
            if (active := self.get(slot)) is not None
            and (wanted is None or active.job.prompt_id in wanted)
            and owner in (None, active.job.owner)
            and not active.is_interrupted
            and not active.is_over
        ]
        for _, active in running:
            active.is_interrupted = True
        return running

    def snapshot_for(self, client: Address) -> Snapshot | None:
        """Where the job of this client stands, once it has begun."""
        for active in self._of_slots.values():
            if active.job.address == client and active.executing is not None:
                data = message_data(active.executing)
                node = data.get("display_node") or data.get("node")
                return Snapshot(node_id=node, progress_state=active.progress_state)
        return None


def _without_content(ticket: Ticket) -> Job:
    return Job(
        prompt_id=ticket.prompt_id,
        number=ticket.number,
        prompt=b"{}",
        extra_data=b"{}",
        outputs_to_execute=(),
        created_at=0,
        owner=ticket.owner,
        sequence=ticket.sequence,
    )
