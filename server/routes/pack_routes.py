"""Paths that node packs serve: they are handed to the worker that the packs live in."""

from __future__ import annotations

import asyncio

from aiohttp import web

from server.errors import NotFound, PacksNotReady
from server.services import SERVICES


async def pack_answer(request: web.Request) -> web.StreamResponse:
    """The answer of the pack that serves this path.

    Where none does, raises what the server says of the path itself; PacksNotReady while that is
    not known yet.
    """
    services = request.app[SERVICES]
    engine = await services.engine()
    if services.pack_proxy.serves(engine, request.method, request.rel_url.path_safe):
        return await services.pack_proxy.forward(engine, request)
    if not engine.definitions.are_known and await asyncio.to_thread(services.pack_files.has_packs):
        raise PacksNotReady()
    raise request.match_info.http_exception or NotFound(f"there is no page '{request.path}'")
