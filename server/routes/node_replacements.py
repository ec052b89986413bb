"""GET /node_replacements: which node classes took the place of older ones."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.responses import json_response
from server.services import SERVICES, Route


async def node_replacements(request: web.Request) -> web.Response:
    """The whole table; the front end offers its entries for nodes on the canvas."""
    engine = await request.app[SERVICES].engine()
    return json_response(engine.replacements.table)


ROUTES: Final[list[Route]] = [("GET", "/node_replacements", node_replacements)]
