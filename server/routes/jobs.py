"""GET /api/jobs and below: all jobs in one list, whatever their state. POST: cancel them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from executor.jobs import JobSelection, JobState, is_prompt_id
from server.access import caller_of
from server.body import parse_json
from server.errors import BadRequest, JobNotFound, JobRequestError
from server.job_overviews import STATES, detail, listing_pieces
from server.responses import json_response, pieces_response
from server.scopes import Scope
from server.services import SERVICES, Route

_ORDERS: Final = ("created_at", "execution_duration")
_DIRECTIONS: Final = ("desc", "asc")
_LARGEST: Final = (1 << 63) - 1  # that a database can count


async def list_jobs(request: web.Request) -> web.Response:
    """Jobs by state and workflow, ordered and paged."""
    selection = _selection(request)
    store = (await request.app[SERVICES].engine()).store
    selected = await store.select(selection)
    pages = store.overviews(selected)
    count = len(selected.sequences)
    return await pieces_response(listing_pieces(pages, selection, selected.total, count))


async def show_job(request: web.Request) -> web.Response:
    """One job with its graph and its outputs."""
    store = (await request.app[SERVICES].engine()).store
    record = await store.record(request.match_info["job_id"], caller_of(request).limited_to)
    if record is None:
        raise JobNotFound()
    return json_response(detail(record))


async def cancel_job(request: web.Request) -> web.Response:
    """Take one job out of the queue, or stop it."""
    job_id = request.match_info["job_id"]
    if not job_id:
        raise JobRequestError("the id of the job is missing")
    return await _cancel(request, [job_id])


async def cancel_jobs(request: web.Request) -> web.Response:
    """Take several jobs out of the queue, or stop them."""
    try:
        body = parse_json(await request.read())
    except BadRequest as error:
        raise JobRequestError(error.message) from None
    job_ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(job_ids, list):
        raise JobRequestError("the body must be an object with a list 'job_ids'")
    invalid = [job_id for job_id in job_ids if not is_prompt_id(job_id)]
    if invalid:
        shown = [job_id if isinstance(job_id, str) else repr(job_id) for job_id in invalid]
        raise JobRequestError("some of 'job_ids' cannot be ids of jobs", invalid_ids=shown)
    return await _cancel(request, job_ids)


async def _cancel(request: web.Request, job_ids: list[str]) -> web.Response:
    dispatcher, owner = (
        (await request.app[SERVICES].engine()).dispatcher,
        caller_of(request).limited_to,
    )
    return json_response({"cancelled": await dispatcher.stop_jobs(job_ids, owner)})


def _selection(request: web.Request) -> JobSelection:
    """The query string; raises JobRequestError."""
    limit = _integer(request, "limit")
    if limit is not None and limit <= 0:
        raise JobRequestError("the parameter 'limit' must be a positive whole number")
    return JobSelection(
        states=_states(request.query.get("status", "")),
        workflow_id=request.query.get("workflow_id") or None,
        owner=caller_of(request).limited_to,
        by_duration=_choice(request, "sort_by", _ORDERS) == "execution_duration",
        descending=_choice(request, "sort_order", _DIRECTIONS) == "desc",
        offset=max(_integer(request, "offset") or 0, 0),
        limit=limit,
    )


def _states(text: str) -> frozenset[JobState]:
    """The states that the parameter `status` names; all if it names none."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in STATES]
    if unknown:
        raise JobRequestError(
            f"the parameter 'status' cannot be {', '.join(unknown)}; "
            f"valid values: {', '.join(STATES)}"
        )
    return frozenset(state for word in words or STATES for state in STATES[word])


def _choice(request: web.Request, name: str, choices: tuple[str, ...]) -> str:
    value = request.query.get(name, choices[0])
    if value not in choices:
        raise JobRequestError(f"the parameter '{name}' must be one of {', '.join(choices)}")
    return value


def _integer(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return max(min(int(text), _LARGEST), -_LARGEST)
    except ValueError:
        raise JobRequestError(f"the parameter '{name}' must be a whole number") from None


ROUTES: Final[list[Route]] = [
    ("GET", "/jobs", list_jobs, Scope.READ),
    ("GET", "/jobs/{job_id:[^/]+}", show_job, Scope.READ),
    ("POST", "/jobs/cancel", cancel_jobs, Scope.SUBMIT),
    ("POST", "/jobs/{job_id:[^/]*}/cancel", cancel_job, Scope.SUBMIT),
]
