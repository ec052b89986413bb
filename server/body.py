"""Reads bodies and parameters: JSON of the expected shape, or a 400 that says what is wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import msgspec
from aiohttp import web

from executor import json_text
from server.errors import BadRequest, TooLarge

DEEPEST: Final = web.AppKey("deepest", int)  # how often lists and objects may be nested

_WORDS: Final[dict[type, str]] = {
    str: "a string",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def header_text(value: str) -> str:
    """What a header says; its bytes are Latin-1 if they are no UTF-8, as clients of old send it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="surrogateescape").decode("latin-1")
    return value


async def read_object(request: web.Request, *, optional: bool = False) -> dict[str, Any]:
    """The body as a JSON object, whatever its content type. `optional`: no body reads as `{}`."""
    raw = await _read(request)
    parsed = {} if optional and not raw.strip() else await _parse(request, raw)
    if not isinstance(parsed, dict):
        raise BadRequest("the body must be a JSON object", details=type(parsed).__name__)
    return parsed


async def read_value(request: web.Request) -> Any:
    """The body as any JSON value, whatever its content type."""
    return await _parse(request, await _read(request))


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(request.client_max_size) from None


async def _parse(request: web.Request, raw: bytes) -> Any:
    deepest = request.app[DEEPEST]
    if len(raw) >= json_text.LARGE:
        return await asyncio.to_thread(parse_json, raw, deepest)
    return parse_json(raw, deepest)


def parse_json(raw: bytes, deepest: int | None = None) -> Any:
    """Any JSON, also with NaN and Infinity; raises BadRequest.

    `deepest`: how often lists and objects may be nested.
    """
    parsed = _parse_any(raw)
    may_be_deeper = deepest is not None and raw.count(b"[") + raw.count(b"{") > deepest
    if deepest is not None and may_be_deeper and json_text.is_deeper(parsed, deepest):
        raise BadRequest(
            f"the body is nested more than {deepest} times, which is too deeply",
            details="the setting 'max_json_depth' says how deep a body may be",
        )
    return parsed


def _parse_any(raw: bytes) -> Any:
    try:
        if len(raw) >= json_text.LARGE:
            return json_text.decode_in_pieces(raw)
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # Python's parser accepts more, and says where it stopped
    try:
        parsed = json.loads(raw)
        # A lone surrogate can be neither stored nor sent.
        json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError:
        raise BadRequest("the body is not valid JSON: it is nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, UnicodeError
        raise BadRequest("the body is not valid JSON", details=str(error)) from None
    return parsed


def field(body: dict[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """A field of the given type; absent (or null) is the default."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise BadRequest(f"'{name}' must be {_WORDS[kind]}", field=name)
    return value


def flag(body: dict[str, Any], name: str) -> bool:
    """A boolean field, false if absent."""
    return bool(field(body, name, bool, False))


def identifiers(body: dict[str, Any], name: str) -> list[str]:
    """A list of ids; a single id is a list of one, numbers are read as text."""
    value = body.get(name)
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
        raise BadRequest(f"'{name}' must be a list of ids", field=name)
    return [str(item) for item in items]


def integer_parameter(request: web.Request, name: str) -> int | None:
    """A whole number from the query string."""
    text = request.query.get(name)
    if text is None or text == "":
        return None
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or abs(number) >= 1 << 63:
        raise BadRequest(f"the parameter '{name}' must be a whole number", field=name)
    return number
