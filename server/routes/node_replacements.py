"""GET /node_replacements: which node classes took the place of older ones."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import web

from server.responses import json_response
from server.scopes import Scope
from server.services import SERVICES, Route


async def node_replacements(request: web.Request) -> web.Response:
    """The whole table; the front end offers its entries for nodes on the canvas.

    At a cold start it waits for what packs have to say.
    """
    services = request.app[SERVICES]
    engine = await services.engine()
    definitions = engine.definitions
    if not definitions.are_known and await asyncio.to_thread(services.pack_files.has_packs):
        with suppress(TimeoutError):
            await definitions.wait(services.settings.startup_wait)
    return json_response(engine.replacements.table)


ROUTES: Final[list[Route]] = [("GET", "/node_replacements", node_replacements, Scope.READ)]
