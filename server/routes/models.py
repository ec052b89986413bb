"""GET /models, /models/{folder}, /embeddings: model files by kind."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Final

from aiohttp import web

from server.errors import NotFound
from server.responses import json_response
from server.services import SERVICES, Route


async def list_kinds(request: web.Request) -> web.Response:
    """The kinds of model folders."""
    return json_response(list(request.app[SERVICES].folders.models))


async def list_models(request: web.Request) -> web.Response:
    """The files of one kind."""
    folders, kind = request.app[SERVICES].folders, request.match_info["folder"]
    if kind not in folders.models:
        raise NotFound(f"there is no folder kind '{kind}'; GET /models lists them")
    return json_response(await asyncio.to_thread(folders.filename_list, kind))


async def list_embeddings(request: web.Request) -> web.Response:
    """The names by which prompts mention embeddings."""
    files = await asyncio.to_thread(request.app[SERVICES].folders.filename_list, "embeddings")
    return json_response([str(PurePath(file).with_suffix("")) for file in files])


ROUTES: Final[list[Route]] = [
    ("GET", "/models", list_kinds),
    ("GET", "/models/{folder}", list_models),
    ("GET", "/embeddings", list_embeddings),
]
