"""Answers to what is no HTTP: JSON like all other errors, where aiohttp would send plain text."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from server.errors import BadRequest, ServerError
from server.responses import json_response

log = logging.getLogger(__name__)


def answer_in_json(runner: web.AppRunner) -> None:
    """Have a runner that is set up, and does not listen yet, answer so."""
    server = runner.server
    assert server is not None, "set up the runner first"
    # aiohttp lets nobody choose the classes, but their instances may change class.
    server.__class__ = _Server


class _Connection(web.RequestHandler):
    __slots__ = ()

    def log_exception(self, *args: Any, **options: Any) -> None:
        # Clients leave in the middle, and send what is not packed as they say: no fault of ours.
        if isinstance(options.get("exc_info"), ConnectionError | web.RequestPayloadError):
            log.debug(*args, **options)
        else:
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError):  # the client went away: nobody reads the answer
            log.debug("%s went away", request.remote)
            error = ServerError()
        elif status >= 500 or request.writer.output_size > 0:
            super().handle_error(request, status, exc, message)  # logs; raises if it is too late
            error = ServerError()
        else:
            log.debug("a broken request from %s: %s", request.remote, message)
            error = BadRequest("the request is broken", details=message or "")
        response = json_response(error.body(), status=status)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        connection = super().__call__()
        connection.__class__ = _Connection
        return connection
