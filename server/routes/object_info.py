"""GET /object_info: which nodes there are and what they take."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.responses import encoded_response
from server.scopes import Scope
from server.services import SERVICES, Route


async def all_classes(request: web.Request) -> web.Response:
    """All node classes."""
    core = await request.app[SERVICES].core()
    return (await core.catalogue.all()).respond(request)


async def one_class(request: web.Request) -> web.Response:
    """One node class; `{}` if there is none of that name."""
    core = await request.app[SERVICES].core()
    return encoded_response(await core.catalogue.one(request.match_info["name"]))


ROUTES: Final[list[Route]] = [
    ("GET", "/object_info", all_classes, Scope.READ),
    ("GET", "/object_info/{name}", one_class, Scope.READ),
]
