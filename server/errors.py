"""What a request can go wrong with; `server.middleware` turns each into a response.

ServerError                 500
├── BadRequest              400  the body or a parameter has the wrong form
│   ├── JobRequestError     400  the same for /api/jobs, whose errors are one line of text
│   ├── InvalidPromptId     400  a job cannot have the given id
│   └── PromptRejected      400  the graph cannot run; carries the errors of its nodes
├── Unauthorized            401  the header `comfy-user` names no user (with --multi-user)
│   └── KeyNeeded           401  keys are in use, and the request has no valid one
├── Forbidden               403  the request comes from a foreign page, or leaves its folder
│   └── ScopeTooSmall       403  the key does not allow this
├── NotFound                404
│   └── JobNotFound         404  the same for /api/jobs
├── Conflict                409  something of that name is there already
│   └── PromptIdExists      409  a job of the given id is there already
├── RequestTimedOut         408  the rest of the body does not come, or trickles
├── TooLarge                413  the body is over the upload limit
├── QueueFull               429  as many prompts wait as may
├── BadGateway              502  a node pack, or the worker it lives in, gave no proper answer
├── TooManyClients          503  as many WebSockets are open as may
├── StorageUnavailable      503  the job database cannot be read or written at the moment
└── NotReady                503  no worker has said yet which nodes there are
    └── PacksNotReady       503  the worker in which node packs live is starting
"""

from __future__ import annotations

from typing import Any, ClassVar


class ServerError(Exception):
    """The server failed; its log says more."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"
    retry_after: ClassVar[int | None] = None  # seconds after which another try makes sense
    challenge: ClassVar[str | None] = None  # how to say who asks (RFC 9110 section 11.6.1)

    def __init__(self, message: str = "", *, details: str = "", **extra: object) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.details = details
        self.extra = extra
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        error = {
            "type": self.type,
            "message": self.message,
            "details": self.details,
            "extra_info": self.extra,
        }
        return {"error": error}


class BadRequest(ServerError):
    """The request has a wrong form."""

    status = 400
    type = "bad_request"


class PromptRejected(BadRequest):
    """The prompt cannot run."""

    def __init__(self, error: dict[str, Any], node_errors: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", "")))
        self.error = error
        self.node_errors = node_errors

    def body(self) -> dict[str, Any]:
        return {"error": self.error, "node_errors": self.node_errors}


class InvalidPromptId(BadRequest):
    """'prompt_id' must be a string of 1 to 256 characters, without control characters."""

    type = "invalid_prompt_id"


class JobRequestError(BadRequest):
    """The request for jobs has a wrong form."""

    def body(self) -> dict[str, Any]:
        return {"error": self.message} | self.extra


class Unauthorized(ServerError):
    """The request does not say which user it is for."""

    status = 401
    type = "unauthorized"


class KeyNeeded(Unauthorized):
    """This server asks for an API key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

    challenge = 'Bearer realm="darkroom"'


class Forbidden(ServerError):
    """This is not allowed."""

    status = 403
    type = "forbidden"


class ScopeTooSmall(Forbidden):
    """The API key does not allow this."""


class NotFound(ServerError):
    """There is no such thing."""

    status = 404
    type = "not_found"


class JobNotFound(NotFound):
    """There is no job of that id."""

    def body(self) -> dict[str, Any]:
        return {"error": self.message}


class Conflict(ServerError):
    """Something of that name is there already."""

    status = 409
    type = "conflict"


class PromptIdExists(Conflict):
    """A job with this 'prompt_id' was accepted before; its record is kept."""

    type = "prompt_id_exists"

    def body(self) -> dict[str, Any]:
        return super().body() | {"node_errors": {}}


class TooLarge(ServerError):
    """The body is larger than the server accepts."""

    status = 413
    type = "too_large"

    def __init__(self, limit: int) -> None:
        limit_mb = limit / (1024 * 1024)
        super().__init__(
            f"the body is larger than {limit_mb:g} MB; start the server with a larger "
            "--max-upload-size to accept it",
            limit=limit,
        )


class RequestTimedOut(ServerError, TimeoutError):  # aiohttp gives up on the rest after the latter
    """The rest of the body did not come in time, or came too slowly."""

    status = 408
    type = "request_timed_out"


class QueueFull(ServerError):
    """As many prompts wait as this server takes; try again when some have run."""

    status = 429
    type = "queue_full"
    retry_after = 5

    def body(self) -> dict[str, Any]:
        return super().body() | {"node_errors": {}}  # as all answers to a refused prompt


class TooManyClients(ServerError):
    """As many WebSockets are open as this server serves."""

    status = 503
    type = "too_many_clients"
    retry_after = 5


class NotReady(ServerError):
    """The server has no node definitions yet: no worker has started."""

    status = 503
    type = "not_ready"


class StorageUnavailable(ServerError):
    """The job database cannot be used at the moment: nothing was accepted or changed."""

    status = 503
    type = "storage_unavailable"


class PacksNotReady(NotReady):
    """The worker that serves this path for a node pack is not up; try again in a moment."""


class BadGateway(ServerError):
    """The node pack that serves this path gave no proper answer."""

    status = 502
    type = "bad_gateway"
