"""The web front end: its page, its files, its templates and its help pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from server.assets import asset
from server.credentials import TOKEN_PARAMETER
from server.errors import NotFound
from server.pack_scripts import scripts, web_folders
from server.responses import json_response
from server.routes.pack_routes import pack_answer
from server.routes.pages import own_page
from server.routes.sign_in import sign_in_page, signed_in
from server.scopes import Scope
from server.services import SERVICES, Route

_INDEX: Final = "index.html"
_NOT_STORED: Final = {"Cache-Control": "no-cache, no-store"}


async def index(request: web.Request) -> web.StreamResponse:
    """The page that a browser opens first: the front end's, or else our own.

    With keys in use it is a form for those who have none; `?token=` signs in, for bookmarks and
    links in letters. A link on a page of others could sign its visitors in with the page's own key.
    """
    access = request.app[SERVICES].access
    if access.is_on and TOKEN_PARAMETER in request.query:
        if not access.is_own_page(request):
            return await sign_in_page(status=403)
        return await signed_in(request, request.query[TOKEN_PARAMETER])
    if access.identify(request) is None:
        return await sign_in_page(status=401)
    root = request.app[SERVICES].front_end.root
    return own_page(_INDEX) if root is None else await _file(request, [root], _INDEX)


async def extensions(request: web.Request) -> web.Response:
    """Scripts that the front end is to load."""
    services = request.app[SERVICES]
    own = await asyncio.to_thread(services.front_end.scripts)
    folders = await web_folders(services)
    return json_response(own + await asyncio.to_thread(scripts, folders))


async def extension_file(request: web.Request) -> web.StreamResponse:
    """One of these scripts, or a file that it loads: the front end's, or else a node pack's."""
    services, path = request.app[SERVICES], request.match_info["path"]
    root = services.front_end.root
    if root is not None:
        try:
            return await _file(request, [root / "extensions"], path)
        except NotFound:
            pass  # it may be a pack's
    name, _, relative = path.partition("/")
    folder = (await web_folders(services)).get(name)
    try:
        return await _file(request, [] if folder is None else [folder], relative)
    except NotFound:
        return await pack_answer(request)


async def template_file(request: web.Request) -> web.StreamResponse:
    """A template workflow, one of its pictures, or an index of all."""
    folders = request.app[SERVICES].front_end.templates
    return await _file(request, folders, request.match_info["path"])


async def docs_file(request: web.Request) -> web.StreamResponse:
    """A node's help page, or a picture in it."""
    folder = request.app[SERVICES].front_end.docs
    return await _file(request, [] if folder is None else [folder], request.match_info["path"])


@web.middleware
async def unknown_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what no route knows: with the front end's file of that name, or through a node pack.

    No route of its own: one that matches every path would turn wrong paths into wrong methods.
    """
    if request.match_info.http_exception is None:
        return await handler(request)
    root = request.app[SERVICES].front_end.root
    is_unknown = isinstance(request.match_info.http_exception, web.HTTPNotFound)
    if root is not None and is_unknown and request.method in ("GET", "HEAD"):
        try:
            return await _file(request, [root], request.path.lstrip("/"))
        except NotFound:
            pass  # it may be a pack's
    return await pack_answer(request)


async def _file(request: web.Request, folders: Iterable[Path], relative: str) -> web.StreamResponse:
    headers = _NOT_STORED if relative == _INDEX else None
    compressed = request.app[SERVICES].front_end.compressed
    return await asset(request, folders, relative, compressed, headers)


ROUTES: Final[list[Route]] = [
    ("GET", "/", index, Scope.OPEN),
    ("GET", "/extensions", extensions, Scope.READ),
    ("GET", "/extensions/{path:.+}", extension_file, Scope.READ),
    ("GET", "/templates/{path:.+}", template_file, Scope.OPEN),
    ("GET", "/docs/{path:.+}", docs_file, Scope.OPEN),
]
