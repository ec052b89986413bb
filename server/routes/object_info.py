"""GET /object_info: which nodes there are and what they take."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.access import caller_of
from server.responses import encoded_response
from server.scopes import Scope
from server.services import SERVICES, Route


async def all_classes(request: web.Request) -> web.Response:
    """All node classes."""
    core = await request.app[SERVICES].core()
    return (await core.catalogue.all(await _hidden(request))).respond(request)


async def one_class(request: web.Request) -> web.Response:
    """One node class; `{}` if there is none of that name."""
    core = await request.app[SERVICES].core()
    return encoded_response(
        await core.catalogue.one(request.match_info["name"], await _hidden(request))
    )


async def _hidden(request: web.Request) -> frozenset[str]:
    """Input files that are not to be offered: those that others have uploaded."""
    owner = caller_of(request).limited_to
    if owner is None:
        return frozenset()
    engine = await request.app[SERVICES].engine()
    return await engine.file_owners.inputs_of_others(owner)


ROUTES: Final[list[Route]] = [
    ("GET", "/object_info", all_classes, Scope.READ),
    ("GET", "/object_info/{name}", one_class, Scope.READ),
]
