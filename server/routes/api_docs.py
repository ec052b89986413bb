"""GET /openapi.json and /api-docs: the description of the API, as a file and as a page.

The page is Swagger UI; its files come from the package `swagger-ui-bundle-v2`, which is only data.
"""

from __future__ import annotations

import asyncio
import functools
from importlib import resources, util
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from server.api_document import read_document
from server.encoded import EncodedBody
from server.errors import NotFound
from server.scopes import Scope
from server.services import SCOPES, Route

_PAGES: Final = Path(str(resources.files("server"))) / "pages"
_VIEWER: Final = "swagger_ui_bundle"
_OWN_FILES: Final = {
    "api-docs.html": "text/html; charset=utf-8",
    "api-docs.js": "text/javascript; charset=utf-8",
}
_VIEWER_FILES: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
# Swagger UI draws its icons from data: URLs; it needs nothing else beyond our own files.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def document(request: web.Request) -> web.Response:
    """The whole description as JSON."""
    # Read when it is first asked for: most servers never are.
    scopes = request.app[SCOPES]
    encoded = await asyncio.to_thread(_encoded_document, tuple(scopes.items()))
    return encoded.respond(request)


@functools.cache
def _encoded_document(scopes: tuple[tuple[tuple[str, str], Scope], ...]) -> EncodedBody:
    return EncodedBody.make(msgspec.json.encode(read_document(dict(scopes))))


async def page(request: web.Request) -> web.FileResponse:
    """The description to read and to try out."""
    return _file(_PAGES / "api-docs.html", _OWN_FILES["api-docs.html"])


async def page_file(request: web.Request) -> web.FileResponse:
    """A part of that page."""
    name = request.match_info["name"]
    if name in _OWN_FILES:
        return _file(_PAGES / name, _OWN_FILES[name])
    if name in _VIEWER_FILES:
        folder = await asyncio.to_thread(_viewer_folder)
        if folder is not None:
            return _file(folder / name, _VIEWER_FILES[name])
    raise NotFound()


def _viewer_folder() -> Path | None:
    """Where the newest Swagger UI of the package lies; found without importing it."""
    spec = util.find_spec(_VIEWER)
    if spec is None or spec.origin is None:
        return None
    found = (Path(spec.origin).parent / "vendor").glob("swagger-ui-*")
    return max(found, key=_version, default=None)


def _version(folder: Path) -> list[int]:
    parts = folder.name.removeprefix("swagger-ui-").split(".")
    return [int(part) if part.isdigit() else 0 for part in parts]


def _file(file: Path, content_type: str) -> web.FileResponse:
    headers = {
        "Content-Type": content_type,
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return web.FileResponse(file, headers=headers)


ROUTES: Final[list[Route]] = [
    ("GET", "/openapi.json", document, Scope.OPEN),
    ("GET", "/api-docs", page, Scope.OPEN),
    ("GET", "/api-docs/{name}", page_file, Scope.OPEN),
]
