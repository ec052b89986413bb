"""What the front end shows of the server itself: log lines, folders, file names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from aiohttp import web

from executor.folders import Folders, UnknownKind
from executor.jobs import Address
from executor.listing import can_be_named
from server.access import caller_of
from server.body import field, flag, read_object
from server.errors import BadRequest
from server.log_lines import terminal_size
from server.responses import done, json_response
from server.scopes import Scope
from server.services import SERVICES, Route


async def log_text(request: web.Request) -> web.Response:
    """The last log lines as one text."""
    entries, _ = request.app[SERVICES].logs.ring.since(0)
    return json_response("".join(f"{entry.t} - {entry.m}" for entry in entries))


async def log_entries(request: web.Request) -> web.Response:
    """The last log lines one by one."""
    entries, _ = request.app[SERVICES].logs.ring.since(0)
    return json_response({"entries": entries, "size": terminal_size()})


async def subscribe_to_logs(request: web.Request) -> web.Response:
    """Send log lines to a client's socket as they come, or no more."""
    body = await read_object(request)
    client_id = field(body, "clientId", str)
    if not client_id:
        raise BadRequest("'clientId' must be the id of a client", field="clientId")
    if not isinstance(body.get("enabled"), bool):
        raise BadRequest("'enabled' must be true or false", field="enabled")
    client = Address(client_id, caller_of(request).owner)
    request.app[SERVICES].logs.subscribe(client, enabled=flag(body, "enabled"))
    return done()


async def folder_paths(request: web.Request) -> web.Response:
    """The folders of each kind of models."""
    models = request.app[SERVICES].folders.models
    return json_response({kind: [str(path) for path in paths] for kind, paths in models.items()})


async def file_names(request: web.Request) -> web.Response:
    """The files right in output/, input/ or temp/, newest first."""
    folders = request.app[SERVICES].folders
    try:
        folder = folders.directory(request.match_info["type"])
    except UnknownKind as error:
        raise BadRequest(str(error), field="type") from None
    return json_response(await asyncio.to_thread(_newest_first, folders, folder))


def _newest_first(folders: Folders, folder: Path) -> list[str]:
    try:
        found = list(os.scandir(folder))
    except OSError:
        return []
    shown = (e for e in found if not e.name.startswith(".") and can_be_named(e.name))
    ours = (e for e in shown if not e.is_symlink() or folders.is_reachable(e.path))
    dated = ((_modified(entry), entry.name) for entry in ours)
    return [name for _, name in sorted((-at, name) for at, name in dated if at is not None)]


def _modified(entry: os.DirEntry[str]) -> int | None:
    """When a file was written last; None for what is no file, or not any more."""
    try:
        return entry.stat().st_mtime_ns if entry.is_file() else None
    except OSError:
        return None


ROUTES: Final[list[Route]] = [
    ("GET", "/internal/logs", log_text, Scope.ADMIN),
    ("GET", "/internal/logs/raw", log_entries, Scope.ADMIN),
    ("PATCH", "/internal/logs/subscribe", subscribe_to_logs, Scope.ADMIN),
    ("GET", "/internal/folder_paths", folder_paths, Scope.ADMIN),
    ("GET", "/internal/files/{type}", file_names, Scope.ADMIN),
]
