"""The bodies of /object_info, encoded once per state of definitions and model folders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from executor.definition_cache import Definitions
from executor.named_files import without_choices
from executor.options import FileOptions
from server.encoded import EncodedBody
from server.errors import NotReady

_REFRESH_S: Final = 0.5
_MOST_BODIES: Final = 8  # kept: one for each API key that may not see all uploads


async def _nothing_to_refresh(wait_s: float) -> None:
    pass


class Catalogue:
    """What the nodes are, as clients see it: file lists are those of this moment."""

    def __init__(
        self,
        definitions: Definitions,
        options: FileOptions,
        *,
        wait_s: float,
        refresh: Callable[[float], Awaitable[object]] = _nothing_to_refresh,
    ) -> None:
        self._refresh = refresh  # lists that only a worker can make; waits so long at most
        self._definitions = definitions
        self._options = options
        self._wait_s = wait_s
        self._encoding = asyncio.Lock()  # many clients that ask at once wait for one encoder
        self._state: tuple[int, Mapping[str, Sequence[str]]] | None = None
        self._bodies: dict[frozenset[str], EncodedBody] = {}  # of this state, by what is hidden

    async def all(self, hidden: frozenset[str] = frozenset()) -> EncodedBody:
        """The JSON object of all classes, without hidden choices; raises NotReady."""
        await self.wait()
        await self._refresh(_REFRESH_S)
        async with self._encoding:
            return await asyncio.to_thread(self._encode_all, hidden)

    async def one(self, name: str, hidden: frozenset[str] = frozenset()) -> bytes:
        """The JSON object of one class, `{}` if there is none; raises NotReady."""
        await self.wait()
        await self._refresh(_REFRESH_S)
        definition = self._definitions.by_name.get(name)
        if definition is None:
            return b"{}"
        info = await asyncio.to_thread(self._options.fill, definition)
        return msgspec.json.encode({name: without_choices(definition, info, hidden)})

    async def wait(self) -> None:
        """Wait until a worker has said which nodes and packs there are; raises NotReady."""
        if self._definitions.are_known:
            return
        try:
            await self._definitions.wait(self._wait_s)
        except TimeoutError as error:
            raise NotReady(details=str(error)) from None

    def _encode_all(self, hidden: frozenset[str]) -> EncodedBody:
        definitions = list(self._definitions.by_name.values())
        sources = {source for d in definitions for source in d.file_options.values()}
        state = (self._definitions.revision, self._options.snapshot(sources))
        if state != self._state:
            self._bodies.clear()
            self._state = state
        body = self._bodies.get(hidden)
        if body is None:
            filled = {
                d.name: without_choices(
                    d, self._options.fill(d) if d.file_options else d.info, hidden
                )
                for d in definitions
            }
            body = EncodedBody.make(msgspec.json.encode(filled))
            if len(self._bodies) >= _MOST_BODIES:
                self._bodies.clear()
            self._bodies[hidden] = body
        return body
