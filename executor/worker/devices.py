"""The devices of this worker, as GET /system_stats shows them."""

from __future__ import annotations

import platform
from typing import Any

import psutil
import torch


def device_entries(cpu_only: bool, device: int | None = None) -> list[dict[str, Any]]:
    """One entry per device; the CPU counts as one whose memory is the RAM.

    `device` is the number of this worker's GPU among all of the machine: here it is the only one.
    The key `uuid` is for the server alone, which finds out by it who shares a GPU.
    """
    if cpu_only or not torch.cuda.is_available():
        memory = psutil.virtual_memory()
        return [
            {
                "name": "cpu",
                "type": "cpu",
                "index": None,
                "vram_total": memory.total,
                "vram_free": memory.available,
                "torch_vram_total": memory.total,
                "torch_vram_free": memory.available,
            }
        ]
    current = torch.cuda.current_device()
    index = current if device is None else device
    free, total = torch.cuda.mem_get_info(current)
    reserved = torch.cuda.memory_reserved(current)
    unused = reserved - torch.cuda.memory_allocated(current)
    return [
        {
            "name": f"cuda:{index} {torch.cuda.get_device_name(current)}",
            "type": "cuda",
            "index": index,
            "vram_total": total,
            "vram_free": free + unused,
            "torch_vram_total": reserved,
            "torch_vram_free": unused,
            "uuid": str(getattr(torch.cuda.get_device_properties(current), "uuid", "")),
        }
    ]


def versions() -> dict[str, str]:
    """What clients are told of the software that computes."""
    return {"torch": torch.__version__, "python": platform.python_version()}
