"""GET /userdata, /v2/userdata; GET, POST, DELETE /userdata/{file}; POST .../move/{dest}."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from server.access import caller_of
from server.content import PlainFile, content_headers
from server.errors import BadRequest, Forbidden, Unauthorized
from server.responses import json_response
from server.scopes import Scope
from server.services import SERVICES, Route
from server.uploads import receive, spooled_file
from server.userdata import Entry, find_file, list_files, list_tree, locate
from server.users import USER_HEADER


async def list_userdata(request: web.Request) -> web.Response:
    """The files of the folder `dir`."""
    root, query = await _root(request), request.query
    if not query.get("dir"):
        raise BadRequest("the parameter 'dir' is missing", field="dir")
    recurse = _is_on(request, "recurse")
    entries = await asyncio.to_thread(list_files, root, query["dir"], recurse=recurse)
    if _is_on(request, "full_info"):
        return json_response([_file_info(entry) for entry in entries])
    if _is_on(request, "split"):
        return json_response([[entry.path, *entry.path.split("/")] for entry in entries])
    return json_response([entry.path for entry in entries])


async def list_userdata_v2(request: web.Request) -> web.Response:
    """Everything below the folder `path`, which without it is the user's."""
    try:
        root = await _root(request)
    except Unauthorized as error:  # ComfyUI's statuses, unlike those of the other routes
        raise Forbidden(error.message) from None
    try:
        entries = await asyncio.to_thread(list_tree, root, request.query.get("path", ""))
    except Forbidden as error:
        raise BadRequest(error.message, field="path") from None
    return json_response([_tree_info(entry) for entry in entries])


async def get_file(request: web.Request) -> web.StreamResponse:
    """The content of a file."""
    root = await _root(request)
    file = await asyncio.to_thread(find_file, root, request.match_info["file"])
    return PlainFile(file, content_headers(file.name))


async def store_file(request: web.Request) -> web.Response:
    """The body becomes the content of the file."""
    services, root = request.app[SERVICES], await _root(request)
    name, overwrite = request.match_info["file"], _is_on(request, "overwrite", default=True)
    await asyncio.to_thread(locate, root, name)  # a name that is refused needs no body
    limit = services.settings.max_upload_bytes
    with spooled_file(services.folders.temp) as content:
        await receive(request.content.read, content, limit, limit)
        entry = await services.user_files.store(root, name, content, overwrite=overwrite)
    return _stored(request, entry)


async def delete_file(request: web.Request) -> web.Response:
    """Forget a file."""
    root = await _root(request)
    await request.app[SERVICES].user_files.remove(root, request.match_info["file"])
    return web.Response(status=204)


async def move_file(request: web.Request) -> web.Response:
    """Give a file another name or folder."""
    root, names = await _root(request), request.match_info
    overwrite = _is_on(request, "overwrite", default=True)
    files = request.app[SERVICES].user_files
    return _stored(
        request, await files.move(root, names["file"], names["dest"], overwrite=overwrite)
    )


async def _root(request: web.Request) -> Path:
    user_id = request.headers.get(USER_HEADER)
    return await request.app[SERVICES].users.folder(user_id, caller_of(request))


def _is_on(request: web.Request, name: str, *, default: bool = False) -> bool:
    word = request.query.get(name, "").lower()
    return word not in ("false", "0") if default else word in ("true", "1")


def _stored(request: web.Request, entry: Entry) -> web.Response:
    return json_response(_file_info(entry) if _is_on(request, "full_info") else entry.path)


def _file_info(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "size": entry.size,
        "modified": entry.modified,
        "created": entry.created,
    }


def _tree_info(entry: Entry) -> dict[str, Any]:
    kind = "directory" if entry.is_folder else "file"
    info: dict[str, Any] = {"name": entry.name, "path": entry.path, "type": kind}
    if not entry.is_folder:
        info |= {"size": entry.size, "modified": entry.modified}
    return info


_FILE: Final = "/userdata/{file:[^/]+}"  # one segment: a slash in it is %2F

ROUTES: Final[list[Route]] = [
    ("GET", "/userdata", list_userdata, Scope.READ),
    ("GET", "/v2/userdata", list_userdata_v2, Scope.READ),
    ("GET", _FILE, get_file, Scope.READ),
    ("POST", _FILE, store_file, Scope.SUBMIT),
    ("DELETE", _FILE, delete_file, Scope.SUBMIT),
    ("POST", _FILE + "/move/{dest:[^/]+}", move_file, Scope.SUBMIT),
]
