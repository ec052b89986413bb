"""GET and POST /users."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.access import caller_of
from server.body import field, read_object
from server.responses import json_response
from server.scopes import Scope
from server.services import SERVICES, Route
from server.users import UserRefused


async def list_users(request: web.Request) -> web.Response:
    """All users; without several users, whether there is data of the one."""
    users, caller = request.app[SERVICES].users, caller_of(request)
    if users.is_choice_of(caller):
        return json_response({"storage": "server", "users": await users.names()})
    return json_response({"storage": "server", "migrated": await users.is_migrated(caller)})


async def add_user(request: web.Request) -> web.Response:
    """A new user; the answer is its id."""
    name = field(await read_object(request), "username", str)
    if name is None:
        raise UserRefused("the field 'username' is missing")
    return json_response(await request.app[SERVICES].users.add(name))


ROUTES: Final[list[Route]] = [
    ("GET", "/users", list_users, Scope.READ),
    ("POST", "/users", add_user, Scope.ADMIN),
]
