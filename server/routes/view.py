"""GET /view: a file of output/, input/ or temp/, as it is or re-encoded."""

from __future__ import annotations

import asyncio
import os.path
from pathlib import Path
from typing import Final

from aiohttp import web

from executor.folders import Folders, OutsideFolder, UnknownKind, split_annotation
from server.access import Caller, caller_of
from server.content import PlainFile, content_headers
from server.errors import BadRequest, Forbidden, NotFound
from server.images import read_rendering, render
from server.scopes import Scope
from server.services import SERVICES, Route, Services


async def view(request: web.Request) -> web.StreamResponse:
    """The file that `filename`, `subfolder` and `type` name."""
    services = request.app[SERVICES]
    file = await asyncio.to_thread(_requested_file, request, services.folders)
    await require_readable(services, caller_of(request), file)
    rendering = read_rendering(request.query.get("channel"), request.query.get("preview"))
    if rendering is None:
        destination = request.headers.get("Sec-Fetch-Dest")
        return PlainFile(file, content_headers(file.name, destination=destination))
    try:
        body = await asyncio.to_thread(render, file, rendering)
    except FileNotFoundError:
        raise NotFound(f"there is no file '{file.name}'") from None
    return web.Response(body=body, headers=content_headers(file.name, rendering.content_type))


async def require_readable(services: Services, caller: Caller, file: Path) -> None:
    """Raises NotFound for a file that others own, as for one that is not there."""
    if not await is_readable(services, caller, file):
        raise NotFound(f"there is no file '{file.name}'")


async def is_readable(services: Services, caller: Caller, file: Path) -> bool:
    """Whether what is in a file may be told: not if others own it."""
    owner = caller.limited_to
    if owner is None:
        return True
    return await (await services.engine()).file_owners.may_read(owner, file)


def _requested_file(request: web.Request, folders: Folders) -> Path:
    """The file, if it is there. Blocking. Raises BadRequest, Forbidden, NotFound."""
    query = request.query
    if "filename" not in query:
        raise NotFound("the parameter 'filename' is missing")
    name, file_type = split_annotation(query["filename"])
    if not name or name.startswith("/") or ".." in name or "\0" in name:
        raise BadRequest(f"{name!r} is no file name", field="filename")
    try:
        root = folders.directory(file_type or query.get("type", "output"))
    except UnknownKind as error:
        raise BadRequest(str(error), field="type") from None
    try:
        folder = folders.below(root, query.get("subfolder", ""))
        file = folders.below(folder, name.rpartition("/")[2])
    except OutsideFolder as error:
        raise Forbidden(str(error), field="subfolder") from None
    if not os.path.isfile(file):  # noqa: PTH113  (Path.is_file raises for a name that is too long)
        raise NotFound(f"there is no file '{file.name}'")
    return file


ROUTES: Final[list[Route]] = [("GET", "/view", view, Scope.READ)]
