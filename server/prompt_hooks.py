"""Lets node packs look at the body of POST /prompt before it is checked.

A pack that fails, hangs or is not there yet holds no prompt up for longer than the settings say.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import aiohttp

from executor.packs import HOOK_PATH
from server.body import parse_json
from server.errors import ServerError
from server.pack_proxy import PackProxy

if TYPE_CHECKING:  # comes with the engine, which is imported later
    from executor.engine import Engine

log = logging.getLogger(__name__)


class PromptHooks:
    """Asks the packs, if one of them wants to be asked."""

    def __init__(self, proxy: PackProxy, *, startup_wait_s: float, wait_s: float) -> None:
        self._proxy = proxy
        self._startup_wait_s = startup_wait_s
        self._wait_s = wait_s
        self._hanging: asyncio.Task[bytes] | None = None  # a question that was given up

    async def apply(self, engine: Engine, body: dict[str, Any]) -> dict[str, Any]:
        """The body as the packs leave it; as it was if they cannot be asked."""
        if not engine.definitions.packs.has_prompt_hooks:
            return body
        if self._hanging is not None and not self._hanging.done():
            log.warning("prompt handlers of node packs still hang; a prompt goes on without them")
            return body
        try:
            await engine.pool.wait_ready(self._startup_wait_s)
            self._hanging = asyncio.create_task(self._ask(engine, body))
            async with asyncio.timeout(self._wait_s):
                text = await asyncio.shield(self._hanging)
                changed = await asyncio.to_thread(parse_json, text)
        except TimeoutError:
            log.warning("prompt handlers of node packs take too long; a prompt goes on without")
            return body
        except (aiohttp.ClientError, ServerError, ValueError, RecursionError) as error:
            log.warning("prompt handlers of node packs cannot be asked: %s", error)
            return body
        return changed if isinstance(changed, dict) else body

    async def _ask(self, engine: Engine, body: dict[str, Any]) -> bytes:
        session = await self._proxy.session(engine)
        # Python's encoder, because it writes NaN and large numbers as they came.
        text = await asyncio.to_thread(json.dumps, body)
        async with session.post(f"http://packs{HOOK_PATH}", data=text.encode()) as answer:
            answer.raise_for_status()
            return await answer.read()

    def close(self) -> None:
        """Give up what still hangs."""
        if self._hanging is not None:
            self._hanging.cancel()
