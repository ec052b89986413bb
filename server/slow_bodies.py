"""Ends requests whose body stops coming: a client that says nothing more holds nothing for ever."""

from __future__ import annotations

import asyncio

from aiohttp import web

from server.errors import RequestTimedOut


class BodyWatch:
    """Looks now and then whether the rest of a body is still coming.

    A body that nobody reads does not come either, and that is no fault of the client.
    """

    def __init__(self, request: web.Request, patience_s: float) -> None:
        self._content = request.content
        self._transport = request.transport
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._seen = self._content.total_bytes
        self._timer = self._loop.call_later(patience_s, self._look)

    def _look(self) -> None:
        content, transport = self._content, self._transport
        if content.is_eof() or transport is None or transport.is_closing():
            return
        received = content.total_bytes
        if received == self._seen and transport.is_reading():
            content.set_exception(RequestTimedOut())
            return
        self._seen = received
        self._timer = self._loop.call_later(self._patience_s, self._look)

    def end(self) -> None:
        """The request is answered."""
        self._timer.cancel()
