"""Static files of front ends: their types, compression, caching, and no way out of their folder."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from executor.folders import OutsideFolder, inside
from server.compressed import CompressedFiles
from server.content import UNKNOWN, PlainFile
from server.encodings import preferred_encoding
from server.errors import NotFound

# Named here, because the machine's own table (which `mimetypes` reads) may have others: a script
# of another type is not run.
_TEXT_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".map": "application/json; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
_OTHER_TYPES: Final[Mapping[str, str]] = {
    ".eot": "application/vnd.ms-fontobject",
    ".ico": "image/x-icon",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
_COMPRESSIBLE: Final = frozenset(_TEXT_TYPES) | {".eot", ".ico", ".otf", ".ttf"}

# The packager's hash of the content, as in `/assets/index-B2rHQ9Sn.js`. A word in lower case might
# be a plain name, and is not taken for one.
_HASHED: Final = re.compile(r"/assets/[^/]+-(?=[^/.]*[A-Z0-9])[A-Za-z0-9_-]{8}\.[a-z0-9]+")
_FOR_EVER: Final = "public, max-age=31536000, immutable"


async def asset(
    request: web.Request,
    roots: Iterable[Path],
    relative: str,
    compressed: CompressedFiles,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """The first file of that name below `roots`; raises NotFound."""
    file = await asyncio.to_thread(_locate, roots, relative)
    if file is None:
        raise NotFound(f"there is no page '{request.path}'")
    extension = file.suffix.lower()
    known = _TEXT_TYPES.get(extension) or _OTHER_TYPES.get(extension)
    sent = {
        "Content-Type": known or mimetypes.guess_type(file.name)[0] or UNKNOWN,
        "X-Content-Type-Options": "nosniff",
    }
    if _HASHED.fullmatch(request.path):
        sent["Cache-Control"] = _FOR_EVER
    sent |= headers or {}
    if extension not in _COMPRESSIBLE:
        return PlainFile(file, sent)
    sent["Vary"] = "Accept-Encoding"
    encoding = preferred_encoding(request.headers.get("Accept-Encoding", ""), compressed.encodings)
    if encoding is None or "Range" in request.headers:
        return PlainFile(file, sent)
    copy = await compressed.find(file, encoding)
    return (
        PlainFile(file, sent)
        if copy is None
        else PlainFile(copy, sent | {"Content-Encoding": encoding})
    )


def _locate(roots: Iterable[Path], relative: str) -> Path | None:
    """The real path of the first file of that name, if no link leads it out of its root."""
    for root in roots:
        try:
            real = inside(root, relative, links_to=()).resolve(strict=True)
        except OutsideFolder:
            return None
        except OSError:  # missing, or a name that is too long, or a file in the place of a folder
            continue
        if real.is_file():
            return real
    return None
