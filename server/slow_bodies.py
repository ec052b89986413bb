"""Ends requests whose body stops coming, or trickles: a client cannot hold a place for ever."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from server.errors import RequestTimedOut

_LOOKS: Final = 8  # within the patience that a client has


class BodyWatch:
    """Looks now and then how much of a body has come.

    A body that nobody reads does not come either, and that is no fault of the client.
    """

    def __init__(self, request: web.Request, patience_s: float, least_bytes: int) -> None:
        """`least_bytes` of the body have to come within every `patience_s`."""
        self._content = request.content
        self._transport = request.transport
        self._every_s = patience_s / _LOOKS
        self._least_bytes = max(least_bytes, 1)
        self._loop = asyncio.get_running_loop()
        self._start_counting()
        self._timer = self._loop.call_later(self._every_s, self._look)

    def _start_counting(self) -> None:
        self._before = self._content.total_bytes
        self._looks = 0

    def _look(self) -> None:
        content, transport = self._content, self._transport
        if content.is_eof() or transport is None or transport.is_closing():
            return
        self._looks += 1
        has_come = content.total_bytes - self._before >= self._least_bytes
        if has_come or not transport.is_reading():
            self._start_counting()
        elif self._looks >= _LOOKS:
            content.set_exception(RequestTimedOut())
            return
        self._timer = self._loop.call_later(self._every_s, self._look)

    def end(self) -> None:
        """The request is answered."""
        self._timer.cancel()
