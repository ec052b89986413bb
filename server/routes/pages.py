"""GET /: a small page of our own, or the files of the front end that the settings name."""

from __future__ import annotations

import asyncio
import os.path
from importlib import resources
from pathlib import Path
from typing import Final

from aiohttp import web

from executor.folders import OutsideFolder, inside
from server.errors import NotFound
from server.services import SERVICES, Route

_PAGES: Final = Path(str(resources.files("server"))) / "pages"
_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def index(request: web.Request) -> web.StreamResponse:
    """The page that a browser opens first."""
    root = request.app[SERVICES].settings.front_end_root
    if root is None:
        return _page("index.html")
    return web.FileResponse(root / "index.html", headers={"Cache-Control": "no-cache, no-store"})


async def page_file(request: web.Request) -> web.StreamResponse:
    """A part of our own page."""
    return _page(request.match_info["name"])


async def front_end_file(request: web.Request) -> web.StreamResponse:
    """Any file of the configured front end."""
    root = request.app[SERVICES].settings.front_end_root
    assert root is not None, "the route exists only with a front end"
    try:
        file = inside(root, request.match_info["path"])
    except OutsideFolder:
        raise NotFound() from None
    if not await asyncio.to_thread(os.path.isfile, file):
        raise NotFound(f"there is no page '{request.path}'")
    return web.FileResponse(file)


def _page(name: str) -> web.FileResponse:
    if name not in _TYPES:
        raise NotFound()
    headers = {
        "Content-Type": _TYPES[name],
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return web.FileResponse(_PAGES / name, headers=headers)


ROUTES: Final[list[Route]] = [("GET", "/", index), ("GET", "/pages/{name}", page_file)]
FRONT_END_ROUTE: Final[Route] = ("GET", "/{path:.+}", front_end_file)
