"""The bodies of /object_info, encoded once per state of definitions and model folders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from executor.definition_cache import Definitions
from executor.options import FileOptions
from server.encoded import EncodedBody
from server.errors import NotReady

_REFRESH_S: Final = 0.5


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
        self._body = EncodedBody.make(b"{}")

    async def all(self) -> EncodedBody:
        """The JSON object of all classes; raises NotReady."""
        await self.wait()
        await self._refresh(_REFRESH_S)
        async with self._encoding:
            return await asyncio.to_thread(self._encode_all)

    async def one(self, name: str) -> bytes:
        """The JSON object of one class, `{}` if there is none; raises NotReady."""
        await self.wait()
        await self._refresh(_REFRESH_S)
        definition = self._definitions.by_name.get(name)
        if definition is None:
            return b"{}"
        return msgspec.json.encode({name: await asyncio.to_thread(self._options.fill, definition)})

    async def wait(self) -> None:
        """Wait until a worker has said which nodes and packs there are; raises NotReady."""
        if self._definitions.are_known:
            return
        try:
            await self._definitions.wait(self._wait_s)
        except TimeoutError as error:
            raise NotReady(details=str(error)) from None

    def _encode_all(self) -> EncodedBody:
        definitions = list(self._definitions.by_name.values())
        sources = {source for d in definitions for source in d.file_options.values()}
        state = (self._definitions.revision, self._options.snapshot(sources))
        if state != self._state:
            filled = {
                d.name: self._options.fill(d) if d.file_options else d.info for d in definitions
            }
            self._body = EncodedBody.make(msgspec.json.encode(filled))
            self._state = state
        return self._body
