"""What workers hold in memory, for `darkroom` in GET /system_stats."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from executor.calls import MEMORY_STATS
from executor.worker_interface import CallFailed, WorkerLost

if TYPE_CHECKING:  # the engine comes later than the first answer
    from executor.pool import Pool, Slot

Entry = dict[str, Any]

_WAIT_S: Final = 0.2  # for a worker's answer; one that takes longer is shown with older figures


class Memory:
    """Knows the last figures of each worker."""

    def __init__(self) -> None:
        self._last: dict[str, Entry] = {}  # worker name -> what it told last

    async def entries(self, pool: Pool | None) -> list[Entry]:
        """One entry per worker that is up and has told something."""
        slots = [slot for slot in pool.slots if slot.is_ready] if pool is not None else []
        told = await asyncio.gather(*map(self._ask, slots))
        return [
            {"worker": slot.name, **entry}
            for slot, entry in zip(slots, told, strict=True)
            if entry is not None
        ]

    async def _ask(self, slot: Slot) -> Entry | None:
        with suppress(TimeoutError, CallFailed, WorkerLost):
            self._last[slot.name] = await slot.worker.call(MEMORY_STATS, {}, _WAIT_S)
        return self._last.get(slot.name)
