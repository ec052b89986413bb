"""GET and POST /queue, /interrupt, /free: look at what waits and runs, and change it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.access import caller_of
from server.body import field, flag, identifiers, read_object
from server.errors import BadRequest, Forbidden
from server.job_entries import queue_pieces
from server.origin import is_own
from server.responses import done
from server.scopes import Scope
from server.services import SERVICES, Route


async def show_queue(request: web.Request) -> web.Response:
    """Running and waiting jobs."""
    services, owner = request.app[SERVICES], caller_of(request).limited_to
    store = (await services.engine()).store
    return await services.kept_answers.response(
        ("queue", owner), store, lambda: queue_pieces(store, owner)
    )


async def change_queue(request: web.Request) -> web.Response:
    """Take waiting jobs out: some (`delete`) or all (`clear`)."""
    body = await read_object(request)
    clear, delete = flag(body, "clear"), identifiers(body, "delete")
    dispatcher = (await request.app[SERVICES].engine()).dispatcher
    owner = caller_of(request).limited_to
    if clear:
        await dispatcher.cancel_all(owner)
    if delete:
        await dispatcher.cancel(delete, owner)
    return done()


async def interrupt(request: web.Request) -> web.Response:
    """Stop the job that runs, or only that of `prompt_id`."""
    try:
        body = await read_object(request, optional=True)
    except BadRequest:
        body = {}
    await _interrupt(request, field(body, "prompt_id", str))
    return done()


async def interrupt_by_link(request: web.Request) -> web.Response:
    """Stop the job that runs. A GET can hide in any page's image: foreign pages may not."""
    headers = request.headers
    is_foreign_page = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if is_foreign_page or not is_own(headers.get("Host"), headers.get("Origin")):
        raise Forbidden("a page of another origin may not interrupt; use POST /interrupt")
    await _interrupt(request, None)
    return done()


async def _interrupt(request: web.Request, prompt_id: str | None) -> None:
    dispatcher = (await request.app[SERVICES].engine()).dispatcher
    await dispatcher.interrupt(prompt_id, caller_of(request).limited_to)


async def free(request: web.Request) -> web.Response:
    """Have the workers give memory back, after what runs."""
    body = await read_object(request, optional=True)
    unload_models, free_memory = flag(body, "unload_models"), flag(body, "free_memory")
    if unload_models or free_memory:
        engine = await request.app[SERVICES].engine()
        await engine.dispatcher.free(
            unload_models=unload_models or free_memory, free_memory=free_memory
        )
    return done()


ROUTES: Final[list[Route]] = [
    ("GET", "/queue", show_queue, Scope.READ),
    ("POST", "/queue", change_queue, Scope.SUBMIT),
    ("POST", "/interrupt", interrupt, Scope.SUBMIT),
    ("GET", "/interrupt", interrupt_by_link, Scope.SUBMIT),
    ("POST", "/free", free, Scope.ADMIN),
]
