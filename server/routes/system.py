"""GET /system_stats, /features: what this server is and what it runs on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import psutil
from aiohttp import web

from server.access import caller_of
from server.redaction import redact
from server.responses import json_response
from server.scopes import Scope
from server.services import SERVICES, Route
from server.versions import API_VERSION, deploy_environment


async def system_stats(request: web.Request) -> web.Response:
    """Versions, memory and devices; answered at once, also before any worker is ready."""
    services = request.app[SERVICES]
    versions, memory = services.versions, psutil.virtual_memory()
    is_installed = services.settings.front_end_root is None  # else its version is not known
    system = {
        "os": sys.platform,
        "ram_total": memory.total,
        "ram_free": memory.available,
        "comfyui_version": API_VERSION,
        "required_frontend_version": versions.front_end if is_installed else None,
        "installed_templates_version": versions.templates,
        "required_templates_version": versions.templates,
        "python_version": versions.python,
        "pytorch_version": versions.torch,
        "embedded_python": False,
        "comfy_package_versions": [
            {"name": name, "installed": version, "required": version}
            for name, version in versions.comfy.items()
        ],
        "deploy_environment": await asyncio.to_thread(deploy_environment, services.folders.base),
        "argv": _command_line(services.settings.argv) if caller_of(request).sees_all else [],
    }
    engine = services.engine_if_started()
    pool = engine.pool if engine else None
    devices, workers = await asyncio.gather(
        services.devices.entries(pool, memory.total, memory.available),
        services.memory.entries(pool),
    )
    body = {"system": system, "devices": devices, "darkroom": {"workers": workers}}
    return json_response(body)


def _command_line(argv: Sequence[str]) -> list[str]:
    return [redact(argument) for argument in argv]


async def features(request: web.Request) -> web.Response:
    """What clients may rely on; also sent over the WebSocket."""
    return json_response(request.app[SERVICES].hub.features)


ROUTES: Final[list[Route]] = [
    ("GET", "/system_stats", system_stats, Scope.READ),
    ("GET", "/features", features, Scope.OPEN),
]
