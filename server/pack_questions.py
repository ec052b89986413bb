"""Answers what workers ask: whose files are; and what node packs ask through
`PromptServer.instance`: the queue, the history, who listens.

The forms are those of the HTTP endpoints.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from executor.messages import Ask
from server.hub import Hub
from server.job_entries import history_entry, queue_item

if TYPE_CHECKING:  # comes with the engine, which is imported later
    from executor.engine import Engine

Submit: TypeAlias = Callable[[dict[str, Any]], Awaitable[Any]]
SeesAll: TypeAlias = Callable[[str], bool]  # whether the key of that name sees files of all


class PackQuestions:
    """Answers the questions of all workers."""

    def __init__(
        self, engine: Engine, hub: Hub, submit: Submit, sees_all: SeesAll = lambda owner: False
    ) -> None:
        self._engine = engine
        self._sees_all = sees_all
        self._hub = hub
        self._submit = submit

    async def answer(self, ask: Ask) -> Any:
        """Raises ValueError for a question that is not known."""
        arguments, dispatcher = ask.arguments, self._engine.dispatcher
        match ask.method:
            case "clients":
                return self._hub.client_ids
            case "remaining":
                return dispatcher.queue_remaining
            case "queue":
                return await self._queue()
            case "history":
                return await self._history(**arguments)
            case "submit":
                return await self._submit(arguments)
            case "cancel":
                prompt_ids = arguments["prompt_ids"]
                if prompt_ids is None:
                    return await dispatcher.cancel_all()
                return await dispatcher.cancel(prompt_ids)
            case "forget":
                prompt_ids = arguments["prompt_ids"]
                if prompt_ids is None:
                    return await self._engine.store.clear_history()
                return await self._engine.store.delete_history(prompt_ids)
            case "free":
                return await dispatcher.free(**arguments)
            case "may_use":
                owner, path = arguments["owner"], Path(arguments["path"])
                return self._sees_all(owner) or await self._engine.file_owners.may_use(owner, path)
            case "claim":
                paths = [Path(path) for path in arguments["paths"]]
                return await self._engine.file_owners.claim(arguments["owner"], *paths)
            case _:
                raise ValueError(f"unknown question '{ask.method}'")

    async def _queue(self) -> dict[str, Any]:
        store = self._engine.store
        running, page = await store.queue()
        pending = list(page)
        async for more in store.queued_after(page):
            pending.extend(more)
        return {
            "running": [_plain(queue_item(job)) for job in running],
            "pending": [_plain(queue_item(job)) for job in pending],
        }

    async def _history(
        self, prompt_id: str | None, max_items: int | None, offset: int
    ) -> dict[str, Any]:
        store = self._engine.store
        if prompt_id is not None:
            finished = await store.finished_job(prompt_id)
            return {} if finished is None else {prompt_id: _plain(history_entry(finished))}
        entries: dict[str, Any] = {}
        async for page in store.history(max_items=max_items, offset=offset):
            entries |= {found.job.prompt_id: _plain(history_entry(found)) for found in page}
        return entries


def _plain(entry: Any) -> Any:
    """The entry with its stored JSON read."""
    return msgspec.json.decode(msgspec.json.encode(entry))
