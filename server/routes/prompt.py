"""POST /prompt: queue a graph. GET /prompt: how much is queued."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from executor.jobs import Job, PromptIdTaken, is_prompt_id
from executor.named_files import named_files
from executor.node_errors import refused_file
from executor.validation import PromptRejected as GraphRejected
from executor.validation import ValidatedPrompt
from executor.worker_interface import WorkerLost
from server.access import ANYBODY, Caller, caller_of
from server.admission import check_size
from server.body import field, flag, header_text, read_object
from server.errors import BadRequest, InvalidPromptId, NotReady, PromptIdExists, PromptRejected
from server.hidden_names import without_names
from server.responses import json_response
from server.scopes import Scope
from server.services import SERVICES, Route

if TYPE_CHECKING:  # comes with the engine, which is imported later
    from executor.engine import Engine

# Key in extra_data -> hidden input that gets it. Never stored, never shown.
_SECRETS: Final = {
    "auth_token_comfy_org": "AUTH_TOKEN_COMFY_ORG",
    "api_key_comfy_org": "API_KEY_COMFY_ORG",
}

# Says which program submits; kept with the job.
_USAGE_SOURCE: Final = "Comfy-Usage-Source"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The body of POST /prompt."""

    prompt: Any  # the graph, unchecked
    prompt_id: str
    number: float | None  # given priority
    front: bool  # before all jobs with automatic priority
    client_id: str | None
    workflow_id: str | None  # of the workflow that a front end submitted
    extra_data: dict[str, Any]  # without secrets
    secrets: dict[str, str]  # hidden input -> value
    targets: list[str] | None  # output nodes to run; None: all

    @classmethod
    def parse(cls, body: dict[str, Any], usage_source: str | None) -> Submission:
        """Raises BadRequest for a field of the wrong type."""
        extra_data = dict(_extra_data(body))
        secrets = _take_secrets(extra_data)
        client_id = field(body, "client_id", str) or field(extra_data, "client_id", str)
        if client_id is not None:
            extra_data["client_id"] = client_id
        if usage_source is not None:
            extra_data.setdefault("comfy_usage_source", usage_source)
        extra_data["create_time"] = int(time.time() * 1000)
        return cls(
            prompt=body.get("prompt"),
            prompt_id=_prompt_id(body),
            number=_number(body),
            front=flag(body, "front"),
            client_id=client_id,
            workflow_id=_workflow_id(extra_data),
            extra_data=extra_data,
            secrets=secrets,
            targets=_targets(body),
        )


async def submit(request: web.Request) -> web.Response:
    """Queue a graph; the answer means that the job is on disk."""
    services = request.app[SERVICES]
    engine = await services.engine()
    with services.admission.entry(lambda: engine.dispatcher.queue_remaining):
        try:
            body = await services.prompt_hooks.apply(engine, await read_object(request))
        except BadRequest as error:
            raise PromptRejected(error.body()["error"], {}) from None
        check_size(body.get("prompt"), services.settings.max_graph_nodes)
        source = request.headers.get(_USAGE_SOURCE)
        source = None if source is None else header_text(source)
        accepted = await submit_prompt(engine, body, source, caller_of(request))
    services.hub.submitted(accepted.job.address, request.headers.get("User-Agent", ""))
    return json_response(accepted.answer)


async def _refuse_files_of_others(engine: Engine, owner: str, graph: Any) -> None:
    """Raises PromptRejected for a graph that names files which the owner may not read."""
    definitions = engine.definitions.by_name
    owners = engine.file_owners
    file = await owners.first_of_others(owner, lambda: named_files(graph, definitions))
    if file is not None:
        raise PromptRejected(*refused_file(file, graph))


async def _told(engine: Engine, owner: str | None, *errors: Any) -> list[Any]:
    """The errors of a graph, without the names of files that the owner may not see."""
    if owner is None or not any(errors):
        return list(errors)
    hidden = await engine.file_owners.inputs_of_others(owner)
    told: list[Any] = await asyncio.to_thread(without_names, list(errors), hidden)
    return told


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A graph that is queued, or a part of it."""

    job: Job
    node_errors: dict[str, Any]  # of the part that is left out

    @property
    def answer(self) -> dict[str, Any]:
        """What clients are answered."""
        job = self.job
        return {"prompt_id": job.prompt_id, "number": job.number, "node_errors": self.node_errors}


async def submit_prompt(
    engine: Engine,
    body: dict[str, Any],
    usage_source: str | None = None,
    caller: Caller = ANYBODY,
) -> Accepted:
    """Queue the graph of a body. Raises PromptRejected, PromptIdExists, NotReady."""
    try:
        # Every request without a number takes one, also those that are rejected below.
        automatic = None if "number" in body else engine.dispatcher.next_number()
        if "prompt" not in body:
            raise _no_prompt()
        submission = Submission.parse(body, usage_source)
        checked = await engine.validate(submission.prompt, submission.targets)
        if caller.limited_to is not None:  # once it is known which inputs name files
            await _refuse_files_of_others(engine, caller.limited_to, checked.prompt)
        job = _job(submission, checked, automatic, caller.owner)
        (node_errors,) = await _told(engine, caller.limited_to, checked.node_errors)
    except PromptRejected:
        raise
    except BadRequest as error:
        raise PromptRejected(error.body()["error"], {}) from None
    except GraphRejected as error:
        told = await _told(engine, caller.limited_to, error.error, error.node_errors)
        raise PromptRejected(*told) from None
    except RecursionError:
        too_deep = BadRequest("the prompt is nested too deeply")
        raise PromptRejected(too_deep.body()["error"], {}) from None
    except (TimeoutError, WorkerLost) as error:
        raise NotReady(details=str(error)) from None
    try:
        await engine.dispatcher.submit(job, submission.secrets)
    except PromptIdTaken:
        raise PromptIdExists(prompt_id=job.prompt_id) from None
    return Accepted(job=job, node_errors=node_errors)


async def remaining(request: web.Request) -> web.Response:
    """How many jobs wait or run."""
    dispatcher = (await request.app[SERVICES].engine()).dispatcher
    owner = caller_of(request).limited_to
    count = dispatcher.queue_remaining if owner is None else dispatcher.remaining_of(owner)
    return json_response({"exec_info": {"queue_remaining": count}})


def _job(
    submission: Submission, checked: ValidatedPrompt, automatic: int | None, owner: str | None
) -> Job:
    number: float | int
    if automatic is None:
        number = submission.number or 0.0
    else:
        number = -automatic if submission.front else automatic
    return Job(
        prompt_id=submission.prompt_id,
        number=number,
        prompt=checked.encode(),
        extra_data=msgspec.json.encode(submission.extra_data),
        outputs_to_execute=checked.outputs,
        created_at=submission.extra_data["create_time"],
        client_id=submission.client_id,
        workflow_id=submission.workflow_id,
        owner=owner,
    )


def _no_prompt() -> PromptRejected:
    message = "No prompt provided"
    error = {"type": "no_prompt", "message": message, "details": message, "extra_info": {}}
    return PromptRejected(error, {})


def _extra_data(body: dict[str, Any]) -> dict[str, Any]:
    extra_data = body.get("extra_data", {})
    if not isinstance(extra_data, dict):
        raise BadRequest("'extra_data' must be an object", field="extra_data")
    field(extra_data, "extra_pnginfo", dict)
    return extra_data


def _take_secrets(extra_data: dict[str, Any]) -> dict[str, str]:
    secrets = {}
    for key, hidden_input in _SECRETS.items():
        value = field(extra_data, key, str)
        extra_data.pop(key, None)
        if value is not None:
            secrets[hidden_input] = value
    return secrets


def _workflow_id(extra_data: dict[str, Any]) -> str | None:
    """`extra_pnginfo.workflow.id`, if a front end sent one."""
    workflow = (extra_data.get("extra_pnginfo") or {}).get("workflow")
    workflow_id = workflow.get("id") if isinstance(workflow, dict) else None
    return workflow_id if isinstance(workflow_id, str) else None


def _prompt_id(body: dict[str, Any]) -> str:
    given = body.get("prompt_id")
    if given is None:
        return str(uuid.uuid4())
    if not is_prompt_id(given):
        raise InvalidPromptId(field="prompt_id")
    return given


def _number(body: dict[str, Any]) -> float | None:
    if "number" not in body:
        return None
    value = body["number"]
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise BadRequest("'number' must be a number", field="number")
    return number


def _targets(body: dict[str, Any]) -> list[str] | None:
    targets = field(body, "partial_execution_targets", list)
    return None if targets is None else [str(target) for target in targets]


ROUTES: Final[list[Route]] = [
    ("POST", "/prompt", submit, Scope.SUBMIT),
    ("GET", "/prompt", remaining, Scope.READ),
]
