"""Answers made from the job database, kept for as long as nothing is written to it.

Clients poll the queue and the history; between two changes all of them get the same bytes, and
cost neither a read nor a thread that has to wait for a processor while a worker computes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from typing import Final, Protocol

from aiohttp import web

from server.responses import encoded_response, pieces_response

_MOST_BYTES: Final = 1 << 20  # of one answer; longer ones are made anew each time
_MOST_ANSWERS: Final = 32


class Changing(Protocol):
    """What answers are made from; `executor.store.Store` is one."""

    @property
    def revision(self) -> int:
        """Another number after every change."""


class KeptAnswers:
    """The answers of one revision, by what was asked. Owned by the event loop."""

    def __init__(self) -> None:
        self._revision = -1
        self._answers: dict[Hashable, bytes] = {}

    async def response(
        self, asked: Hashable, store: Changing, make: Callable[[], AsyncIterator[bytes]]
    ) -> web.Response:
        """The JSON response to what was asked, `make` giving it piece by piece."""
        before = store.revision
        kept = self._answers.get(asked) if before == self._revision else None
        if kept is not None:
            return encoded_response(kept)
        response = await pieces_response(make())
        # What was read while something changed may be of either state: it is not kept.
        if store.revision == before and isinstance(response.body, bytes):
            self._keep(before, asked, response.body)
        return response

    def _keep(self, revision: int, asked: Hashable, answer: bytes) -> None:
        if len(answer) > _MOST_BYTES:
            return
        if revision != self._revision or len(self._answers) >= _MOST_ANSWERS:
            self._answers.clear()
        self._revision = revision
        self._answers[asked] = answer
