"""The devices of GET /system_stats, put together from what workers and the driver tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from executor.calls import DEVICE_STATS
from executor.worker_interface import CallFailed, WorkerLost
from server.nvml import Nvml

if TYPE_CHECKING:  # the engine comes later than the first answer
    from executor.pool import Pool, Slot

Entry = dict[str, Any]

_KEYS: Final = (
    *("name", "type", "index"),
    *("vram_total", "vram_free", "torch_vram_total", "torch_vram_free"),
)
_WAIT_S: Final = 0.2  # for a worker's answer; one that takes longer is shown with older figures


class Devices:
    """Knows the last figures of each worker."""

    def __init__(self, nvml: Nvml | None = None) -> None:
        self._nvml = nvml or Nvml()
        self._last: dict[str, list[Entry]] = {}  # worker name -> what it told last

    async def entries(self, pool: Pool | None, ram_total: int, ram_free: int) -> list[Entry]:
        """One entry per device, that of the first worker first; a CPU's memory is the RAM."""
        slots = [slot for slot in pool.slots if slot.ready] if pool is not None else []
        devices = await self._gpus([slot for slot in slots if not _is_cpu(slot)])
        if not devices:
            devices = [{"name": "cpu", "type": "cpu"}]
        ram = {"index": None, "vram_total": ram_total, "vram_free": ram_free}
        ram |= {"torch_vram_total": ram_total, "torch_vram_free": ram_free}
        full = [device | ram if device["type"] == "cpu" else device for device in devices]
        return [{key: device.get(key) for key in _KEYS} for device in full]

    async def _gpus(self, slots: Sequence[Slot]) -> list[Entry]:
        if not slots:
            return []
        has_driver = await asyncio.to_thread(self._nvml.is_available)
        told = await asyncio.gather(
            *(self._ask(slot, may_ask=not (slot.is_busy and has_driver)) for slot in slots)
        )
        devices = merge([entry for entries in told for entry in entries])
        if has_driver:
            await asyncio.to_thread(self._refresh, devices)
        return devices

    async def _ask(self, slot: Slot, *, may_ask: bool) -> list[Entry]:
        """A worker's own figures: of this moment if it may be asked and answers."""
        assert slot.ready is not None
        known = self._last.get(slot.name, slot.ready.devices)
        if not may_ask:
            return known
        try:
            self._last[slot.name] = await slot.worker.call(DEVICE_STATS, {}, _WAIT_S)
        except (TimeoutError, CallFailed, WorkerLost):
            return known
        return self._last[slot.name]

    def _refresh(self, devices: Iterable[Entry]) -> None:
        """Put the driver's figures in, which are never old."""
        for device in devices:
            memory = self._nvml.memory(device["uuid"]) if device.get("uuid") else None
            if memory is not None:
                device["vram_total"] = memory.total
                device["vram_free"] = memory.free + device["torch_vram_free"]


def _is_cpu(slot: Slot) -> bool:
    return slot.ready is None or all(d.get("type") == "cpu" for d in slot.ready.devices)


def merge(devices: Sequence[Entry]) -> list[Entry]:
    """Each device once, however many workers share it; their parts of its memory are added."""
    merged: dict[Any, Entry] = {}
    for device in devices:
        key = device.get("uuid") or (device.get("type"), device.get("index"))
        if key not in merged:
            merged[key] = dict(device)
            continue
        first = merged[key]
        for figure in ("torch_vram_total", "torch_vram_free"):
            first[figure] += device[figure]
        first["vram_free"] += device["torch_vram_free"]
    return list(merged.values())
