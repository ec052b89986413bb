"""The devices of this worker, as GET /system_stats shows them."""

from __future__ import annotations

import platform
from typing import Any

import psutil
import torch


def device_entries(cpu_only: bool) -> list[dict[str, Any]]:
    """One entry per device; the CPU counts as one whose memory is the RAM."""
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
    index = torch.cuda.current_device()
    free, total = torch.cuda.mem_get_info(index)
    reserved = torch.cuda.memory_reserved(index)
    unused = reserved - torch.cuda.memory_allocated(index)
    return [
        {
            "name": f"cuda:{index} {torch.cuda.get_device_name(index)}",
            "type": "cuda",
            "index": index,
            "vram_total": total,
            "vram_free": free + unused,
            "torch_vram_total": reserved,
            "torch_vram_free": unused,
        }
    ]


def versions() -> dict[str, str]:
    """What clients are told of the software that computes."""
    return {"torch": torch.__version__, "python": platform.python_version()}
