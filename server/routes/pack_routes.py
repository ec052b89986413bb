"""Paths that node packs serve: they are handed to the worker that the packs live in."""

from __future__ import annotations

import asyncio

from aiohttp import web

from server.errors import NotFound, PacksNotReady
from server.scopes import Scope
from server.services import SERVICES


async def pack_answer(request: web.Request) -> web.StreamResponse:
    """The answer of the pack that serves this path.

    Scripts of packs ask as soon as a page is open, so a request waits for a worker that starts.
    Where no pack serves the path, raises what the server says of it; PacksNotReady if the worker
    takes too long; KeyNeeded or ScopeTooSmall where a key is needed, for paths that are not there
    as well.
    """
    services = request.app[SERVICES]
    caller = services.access.admit(request, Scope.READ)
    engine = await services.engine()
    wait_s = services.settings.startup_wait
    try:
        if not engine.definitions.are_known and await asyncio.to_thread(
            services.pack_files.has_packs
        ):
            await engine.definitions.wait(wait_s)
        if services.pack_proxy.serves(engine, request.method, request.rel_url.path_safe):
            caller.require(Scope.SUBMIT)  # packs know no scopes: any call of theirs may do things
            await engine.pool.wait_ready(wait_s)
            with services.access.in_progress(caller):
                return await services.pack_proxy.forward(engine, request, caller)
    except TimeoutError:
        raise PacksNotReady() from None
    raise request.match_info.http_exception or NotFound(f"there is no page '{request.path}'")
