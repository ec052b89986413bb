"""GET and POST /settings, /settings/{id}: what clients keep for a user."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from executor import json_text
from server.access import caller_of
from server.body import read_object, read_value
from server.responses import encoded_response
from server.scopes import Scope
from server.services import SERVICES, Route
from server.users import USER_HEADER


async def get_settings(request: web.Request) -> web.Response:
    """All settings of the user."""
    settings = await request.app[SERVICES].user_settings.read(await _folder(request))
    return encoded_response(json_text.encode(settings))


async def get_setting(request: web.Request) -> web.Response:
    """One setting; null if it was never set."""
    settings = await request.app[SERVICES].user_settings.read(await _folder(request))
    return encoded_response(json_text.encode(settings.get(request.match_info["id"])))


async def change_settings(request: web.Request) -> web.Response:
    """Set those that the body names. The answer has no body, unlike that of other calls."""
    folder = await _folder(request)
    await request.app[SERVICES].user_settings.change(folder, await read_object(request))
    return web.Response()


async def change_setting(request: web.Request) -> web.Response:
    """Set one to the value that is the body."""
    folder = await _folder(request)
    changes = {request.match_info["id"]: await read_value(request)}
    await request.app[SERVICES].user_settings.change(folder, changes)
    return web.Response()


async def _folder(request: web.Request) -> Path:
    user_id = request.headers.get(USER_HEADER)
    return await request.app[SERVICES].users.folder(user_id, caller_of(request))


ROUTES: Final[list[Route]] = [
    ("GET", "/settings", get_settings, Scope.READ),
    ("POST", "/settings", change_settings, Scope.SUBMIT),
    ("GET", "/settings/{id:[^/]+}", get_setting, Scope.READ),
    ("POST", "/settings/{id:[^/]+}", change_setting, Scope.SUBMIT),
]
