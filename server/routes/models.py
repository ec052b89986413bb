"""Model files by kind: names, figures, metadata and preview pictures."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Final

from aiohttp import web

from executor.folders import OutsideFolder, inside
from server.access import caller_of
from server.errors import NotFound
from server.model_files import NO_MODELS, model_entries, preview
from server.model_metadata import read_metadata
from server.responses import json_response
from server.routes.view import is_readable
from server.scopes import Scope
from server.services import SERVICES, Route


async def list_kinds(request: web.Request) -> web.Response:
    """The kinds of model folders."""
    return json_response(list(request.app[SERVICES].folders.models))


async def list_models(request: web.Request) -> web.Response:
    """The files of one kind."""
    folders, kind = request.app[SERVICES].folders, _kind(request)
    return json_response(await asyncio.to_thread(folders.filename_list, kind))


async def list_embeddings(request: web.Request) -> web.Response:
    """The names by which prompts mention embeddings."""
    files = await asyncio.to_thread(request.app[SERVICES].folders.filename_list, "embeddings")
    return json_response([str(PurePath(file).with_suffix("")) for file in files])


async def list_folders(request: web.Request) -> web.Response:
    """The kinds that hold models, with their folders; others than admins are told no paths."""
    models, tells_paths = request.app[SERVICES].folders.models, caller_of(request).sees_all
    return json_response(
        [
            {"name": kind, "folders": [str(path) if tells_paths else path.name for path in paths]}
            for kind, paths in models.items()
            if kind not in NO_MODELS
        ]
    )


async def describe_models(request: web.Request) -> web.Response:
    """The files of one kind with folder, size and times."""
    folders, kind = request.app[SERVICES].folders, _kind(request)
    return json_response(await asyncio.to_thread(model_entries, folders, kind))


async def show_preview(request: web.Request) -> web.Response:
    """The picture of one model, as WebP."""
    kind, index, name = _kind(request), request.match_info["index"], request.match_info["filename"]
    paths = [] if kind in NO_MODELS else request.app[SERVICES].folders.models[kind]
    if not (index.isascii() and index.isdigit() and len(index) < 6 and int(index) < len(paths)):
        raise NotFound(f"the kind '{kind}' has no folder number '{index}'")
    folder, picture = paths[int(index)], None
    try:
        if await is_readable(request.app[SERVICES], caller_of(request), inside(folder, name)):
            picture = await asyncio.to_thread(preview, folder, name)
    except OutsideFolder as error:
        raise NotFound(str(error)) from None
    if picture is None:
        raise NotFound(f"there is no picture of {name!r}")
    return web.Response(
        body=picture,
        content_type="image/webp",
        headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
    )


async def show_metadata(request: web.Request) -> web.Response:
    """What a safetensors file says of itself."""
    services, kind = request.app[SERVICES], _kind(request)
    name = request.query.get("filename", "")
    if not name.endswith(".safetensors"):
        raise NotFound("the parameter 'filename' must name a .safetensors file")
    try:
        file = await asyncio.to_thread(services.folders.find, kind, name)
    except OutsideFolder as error:
        raise NotFound(str(error)) from None
    metadata = None
    # Models that jobs have saved are all's to use, but hold the workflow of whose the job was.
    if file is not None and await is_readable(services, caller_of(request), file):
        metadata = await asyncio.to_thread(read_metadata, file)
    if metadata is None:
        raise NotFound(f"there is no file {name!r} with metadata among the '{kind}'")
    return json_response(metadata)


def _kind(request: web.Request) -> str:
    """The kind in the path; old aliases of kinds are none."""
    kind = request.match_info["kind"]
    if kind not in request.app[SERVICES].folders.models:
        raise NotFound(f"there is no folder kind '{kind}'; GET /models lists them")
    return kind


ROUTES: Final[list[Route]] = [
    ("GET", "/models", list_kinds, Scope.READ),
    ("GET", "/models/{kind}", list_models, Scope.READ),
    ("GET", "/embeddings", list_embeddings, Scope.READ),
    ("GET", "/view_metadata/{kind}", show_metadata, Scope.READ),
    ("GET", "/experiment/models", list_folders, Scope.READ),
    ("GET", "/experiment/models/{kind}", describe_models, Scope.READ),
    ("GET", "/experiment/models/preview/{kind}/{index}/{filename:.+}", show_preview, Scope.READ),
]
