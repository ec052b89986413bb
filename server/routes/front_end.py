"""The web front end: its page, its files, its templates and its help pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from server.assets import asset
from server.responses import json_response
from server.routes.pages import own_page
from server.services import SERVICES, Route

_INDEX: Final = "index.html"
_NOT_STORED: Final = {"Cache-Control": "no-cache, no-store"}


async def index(request: web.Request) -> web.StreamResponse:
    """The page that a browser opens first: the front end's, or else our own."""
    root = request.app[SERVICES].front_end.root
    return own_page(_INDEX) if root is None else await _file(request, [root], _INDEX)


async def extensions(request: web.Request) -> web.Response:
    """Scripts that the front end is to load."""
    front_end = request.app[SERVICES].front_end
    return json_response(await asyncio.to_thread(front_end.scripts))


async def extension_file(request: web.Request) -> web.StreamResponse:
    """One of these scripts, or a file that it loads."""
    root = request.app[SERVICES].front_end.root
    folders = [] if root is None else [root / "extensions"]
    return await _file(request, folders, request.match_info["path"])


async def template_file(request: web.Request) -> web.StreamResponse:
    """A template workflow, one of its pictures, or an index of all."""
    folders = request.app[SERVICES].front_end.templates
    return await _file(request, folders, request.match_info["path"])


async def docs_file(request: web.Request) -> web.StreamResponse:
    """A node's help page, or a picture in it."""
    folder = request.app[SERVICES].front_end.docs
    return await _file(request, [] if folder is None else [folder], request.match_info["path"])


@web.middleware
async def front_end_files(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what no route knows with the front end's file of that name.

    No route of its own: one that matches every path would turn wrong paths into wrong methods.
    """
    root = request.app[SERVICES].front_end.root
    is_unknown = isinstance(request.match_info.http_exception, web.HTTPNotFound)
    if root is None or not is_unknown or request.method not in ("GET", "HEAD"):
        return await handler(request)
    return await _file(request, [root], request.path.lstrip("/"))


async def _file(request: web.Request, folders: Iterable[Path], relative: str) -> web.StreamResponse:
    headers = _NOT_STORED if relative == _INDEX else None
    compressed = request.app[SERVICES].front_end.compressed
    return await asset(request, folders, relative, compressed, headers)


ROUTES: Final[list[Route]] = [
    ("GET", "/", index),
    ("GET", "/extensions", extensions),
    ("GET", "/extensions/{path:.+}", extension_file),
    ("GET", "/templates/{path:.+}", template_file),
    ("GET", "/docs/{path:.+}", docs_file),
]
