"""How files are handed out: which content types a browser may show, and the headers that say so."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any, Final

from aiohttp import web

UNKNOWN: Final = "application/octet-stream"

# What a browser shows without running anything that is in it. All else is offered as a download:
# a page of an uploaded HTML or SVG file would run scripts in the name of this server.
_PASSIVE: Final = ("image/", "audio/", "video/", "model/", "font/")
_PASSIVE_EXACT: Final = frozenset({"text/plain", "text/csv", "application/json", UNKNOWN})
_ACTIVE: Final = frozenset({"image/svg+xml"})

for _type, _extension in (
    ("image/webp", ".webp"),
    ("image/avif", ".avif"),
    ("audio/flac", ".flac"),
    ("audio/ogg", ".opus"),
    ("video/webm", ".webm"),
    ("video/x-matroska", ".mkv"),
    ("model/gltf-binary", ".glb"),
):
    mimetypes.add_type(_type, _extension)


def content_headers(name: str, content_type: str | None = None) -> dict[str, str]:
    """Headers for a file of that name: a safe type, never guessed again by the browser."""
    guessed = content_type or mimetypes.guess_type(name)[0] or UNKNOWN
    is_passive = guessed in _PASSIVE_EXACT or guessed.startswith(_PASSIVE)
    if not is_passive or guessed in _ACTIVE:
        return _headers(UNKNOWN, f'attachment; filename="{_quotable(name)}"')
    return _headers(guessed, f'filename="{_quotable(name)}"')


def _headers(content_type: str, disposition: str) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Content-Disposition": disposition,
        "X-Content-Type-Options": "nosniff",
    }


def _quotable(name: str) -> str:
    return "".join("_" if c in '"\\' or not c.isprintable() else c for c in name)


class PlainFile(web.FileResponse):
    """A file with ranges and conditional answers; `x.png.gz` is never sent in place of `x.png`."""

    def __init__(self, file: Path, headers: dict[str, str]) -> None:
        super().__init__(file, headers=headers)

    def _make_response(self, request: web.BaseRequest, accept_encoding: str) -> Any:
        return super()._make_response(request, "")
