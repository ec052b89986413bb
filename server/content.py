"""How files are handed out: which content types a browser may show, and the headers that say so."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

UNKNOWN: Final = "application/octet-stream"

# Types whose content a browser runs, or that can carry scripts: shown on a page of this server they
# would act in its name.
_ACTIVE: Final = frozenset(
    {
        "text/html",
        "text/html-sandboxed",
        "application/xhtml+xml",
        "text/javascript",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "text/css",
        "image/svg+xml",
        "application/xml",
        "text/xml",
        "message/rfc822",
    }
)
_SVG: Final = "image/svg+xml"

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


def content_headers(
    name: str, content_type: str | None = None, *, destination: str | None = None
) -> dict[str, str]:
    """Headers for a file of that name: a safe type, never guessed again by the browser.

    Active content becomes a download, except an SVG that is asked for as a picture: there its
    scripts do not run. `destination` is the request's `Sec-Fetch-Dest`.
    """
    guessed = content_type or _guess(name)
    if not _is_active(guessed):
        return _headers(guessed, f'filename="{_quoted(name)}"')
    varying = {"Vary": "Sec-Fetch-Dest", "Cache-Control": "no-store"}
    if guessed == _SVG and destination == "image":
        return _headers(guessed, f'filename="{_quoted(name)}"') | varying
    return _headers(UNKNOWN, f'attachment; filename="{_quoted(name)}"') | varying


def _guess(name: str) -> str:
    content_type, encoding = mimetypes.guess_type(name)
    if encoding is not None and not _is_active(content_type or ""):
        return UNKNOWN  # what is packed is not what its name says
    return content_type or UNKNOWN


def _is_active(content_type: str) -> bool:
    plain = content_type.partition(";")[0].strip().lower()
    return plain in _ACTIVE or plain.endswith(("+xml", "/xml"))


def _headers(content_type: str, disposition: str) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Content-Disposition": disposition,
        "X-Content-Type-Options": "nosniff",
    }


def _quoted(name: str) -> str:
    """A quoted-string's content (RFC 9110 section 5.6.4); what no header can hold becomes `_`."""
    printable = "".join(c if c.isprintable() else "_" for c in name)
    return printable.replace("\\", "\\\\").replace('"', '\\"')


def _entity_tag(file: Path) -> str | None:
    """The ETag that aiohttp gives a file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


class PlainFile(web.FileResponse):
    """A file with ranges and conditional answers; `x.png.gz` is never sent in place of `x.png`."""

    def __init__(self, file: Path, headers: dict[str, str]) -> None:
        super().__init__(file, headers=headers)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it; whole, if the part that is asked for belongs to a file that was replaced."""
        condition = request.headers.get(hdrs.IF_RANGE, "")
        is_tag = condition.startswith(('"', "W/"))  # aiohttp compares dates only
        if (
            is_tag
            and hdrs.RANGE in request.headers
            and condition != await asyncio.to_thread(_entity_tag, self._path)
        ):
            kept = CIMultiDict(request.headers)
            del kept[hdrs.RANGE]
            request = request.clone(headers=kept)
        return await super().prepare(request)

    def _make_response(self, request: web.BaseRequest, accept_encoding: str) -> Any:
        return super()._make_response(request, "")
