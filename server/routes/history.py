"""GET and POST /history: jobs that have run."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.access import caller_of
from server.body import flag, identifiers, integer_parameter, read_object
from server.job_entries import history_entry, history_pieces
from server.responses import done, json_response
from server.scopes import Scope
from server.services import SERVICES, Route


async def list_history(request: web.Request) -> web.Response:
    """Entries by prompt id, oldest first; `max_items`, `offset` and `prompt_id` choose."""
    prompt_id = request.query.get("prompt_id")
    if prompt_id:
        return await _one_entry(request, prompt_id)
    max_items, offset = (
        integer_parameter(request, "max_items"),
        integer_parameter(request, "offset"),
    )
    if max_items is not None and max_items < 0:
        max_items = None
    offset = -1 if offset is None else max(offset, -1)
    services, owner = request.app[SERVICES], caller_of(request).limited_to
    store = (await services.engine()).store
    return await services.kept_answers.response(
        ("history", max_items, offset, owner),
        store,
        lambda: history_pieces(store.history(max_items=max_items, offset=offset, owner=owner)),
    )


async def show_job(request: web.Request) -> web.Response:
    """One entry by its prompt id; `{}` while the job waits or runs, or if there is none."""
    return await _one_entry(request, request.match_info["prompt_id"])


async def change_history(request: web.Request) -> web.Response:
    """Forget some jobs (`delete`) or all (`clear`)."""
    body = await read_object(request)
    clear, delete = flag(body, "clear"), identifiers(body, "delete")
    store = (await request.app[SERVICES].engine()).store
    owner = caller_of(request).limited_to
    if clear:
        await store.clear_history(owner)
    if delete:
        await store.delete_history(delete, owner)
    return done()


async def _one_entry(request: web.Request, prompt_id: str) -> web.Response:
    store = (await request.app[SERVICES].engine()).store
    finished = await store.finished_job(prompt_id, caller_of(request).limited_to)
    return json_response({} if finished is None else {prompt_id: history_entry(finished)})


ROUTES: Final[list[Route]] = [
    ("GET", "/history", list_history, Scope.READ),
    ("GET", "/history/{prompt_id:[^/]+}", show_job, Scope.READ),
    ("POST", "/history", change_history, Scope.SUBMIT),
]
