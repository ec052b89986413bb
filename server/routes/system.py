"""GET /system_stats, /features, /extensions: what this server is and what it runs on."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any, Final

import psutil
from aiohttp import web

from executor.calls import DEVICE_STATS
from executor.worker_interface import CallFailed, WorkerLost
from server.redaction import redact
from server.responses import json_response
from server.services import SERVICES, Route, Services
from server.versions import API_VERSION

# A GPU's free memory is asked of its worker; one that is busy is shown with its last figures.
_DEVICE_WAIT_S: Final = 0.2


async def system_stats(request: web.Request) -> web.Response:
    """Versions, memory and devices; answered at once, also before any worker is ready."""
    services = request.app[SERVICES]
    versions, memory = services.versions, psutil.virtual_memory()
    system = {
        "os": sys.platform,
        "ram_total": memory.total,
        "ram_free": memory.available,
        "comfyui_version": API_VERSION,
        "required_frontend_version": versions.front_end,
        "installed_templates_version": versions.templates,
        "required_templates_version": versions.templates,
        "python_version": versions.python,
        "pytorch_version": versions.torch,
        "embedded_python": False,
        "argv": [redact(argument) for argument in services.settings.argv],
    }
    devices = await _devices(services, memory.total, memory.available)
    return json_response({"system": system, "devices": devices})


async def features(request: web.Request) -> web.Response:
    """What clients may rely on; also sent over the WebSocket."""
    return json_response(request.app[SERVICES].hub.features)


async def extensions(request: web.Request) -> web.Response:
    """Scripts that the front end is to load."""
    root = request.app[SERVICES].settings.front_end_root
    return json_response([] if root is None else await asyncio.to_thread(_scripts, root))


def build_features(max_upload_bytes: int) -> dict[str, Any]:
    """The body of GET /features."""
    return {
        "supports_preview_metadata": True,
        "max_upload_size": max_upload_bytes,
        "extension": {"manager": {"supports_v4": True}},
    }


async def _devices(services: Services, ram_total: int, ram_free: int) -> list[dict[str, Any]]:
    """Device entries; on a CPU (and before a worker told better) they show the RAM."""
    ram = {"index": None, "vram_total": ram_total, "vram_free": ram_free}
    ram |= {"torch_vram_total": ram_total, "torch_vram_free": ram_free}
    engine = services.engine_if_started()
    devices = engine.pool.devices if engine is not None else []
    if engine is not None and any(device.get("type") != "cpu" for device in devices):
        with contextlib.suppress(TimeoutError, CallFailed, WorkerLost):
            devices = await engine.pool.call(DEVICE_STATS, {}, _DEVICE_WAIT_S)
    if not devices:
        devices = [{"name": "cpu", "type": "cpu"}]
    return [device | ram if device.get("type") == "cpu" else device for device in devices]


def _scripts(root: Path) -> list[str]:
    found = sorted((root / "extensions").rglob("*.js"))
    return ["/" + file.relative_to(root).as_posix() for file in found]


ROUTES: Final[list[Route]] = [
    ("GET", "/system_stats", system_stats),
    ("GET", "/features", features),
    ("GET", "/extensions", extensions),
]
