"""JSON responses from Python values or from bytes that are encoded already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from aiohttp import web

_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


def json_response(value: Any, *, status: int = 200) -> web.Response:
    """A JSON response; NaN and infinities become null, which every parser reads."""
    return encoded_response(msgspec.json.encode(value), status=status)


def encoded_response(text: bytes, *, status: int = 200) -> web.Response:
    """A response whose JSON is encoded already."""
    return web.Response(body=text, status=status, headers=_JSON)


def done() -> web.Response:
    """Success without a result. An object, because some clients parse every answer as JSON."""
    return encoded_response(b"{}")


async def pieces_response(pieces: AsyncIterator[bytes]) -> web.Response:
    """A JSON response made piece by piece; one of several pieces is sent as they come."""
    first = await anext(pieces)
    second = await anext(pieces, None)
    third = None if second is None else await anext(pieces, None)
    if third is None:
        return encoded_response(first + (second or b""))
    return web.Response(body=_chain([first, second or b"", third], pieces), headers=_JSON)


async def _chain(ready: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in ready:
        yield piece
    async for piece in rest:
        yield piece
