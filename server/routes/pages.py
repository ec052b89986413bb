"""A small page of our own: what `/` shows where no front end is installed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from aiohttp import web

from server.errors import NotFound
from server.scopes import Scope
from server.services import Route

PAGES: Final = Path(str(resources.files("server"))) / "pages"
_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "sign-in.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def page_file(request: web.Request) -> web.StreamResponse:
    """The page or a part of it; `/pages/index.html` shows it beside an installed front end."""
    return own_page(request.match_info["name"])


def own_page(name: str) -> web.FileResponse:
    """A file of the page; raises NotFound."""
    if name not in _TYPES:
        raise NotFound()
    headers = {
        "Content-Type": _TYPES[name],
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return web.FileResponse(PAGES / name, headers=headers)


async def icon(request: web.Request) -> web.StreamResponse:
    """What browsers ask for where a page names no icon; older front ends name none."""
    return own_page("icon.svg")


ROUTES: Final[list[Route]] = [
    ("GET", "/pages/{name}", page_file, Scope.OPEN),
    ("GET", "/favicon.ico", icon, Scope.OPEN),
]
