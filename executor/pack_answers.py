"""Answers what node packs in a worker ask the server."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from executor.messages import Answer, Ask
from executor.worker_interface import Worker, WorkerLost

log = logging.getLogger(__name__)


async def answer(worker: Worker, ask: Ask, on_ask: Callable[[Ask], Awaitable[Any]]) -> None:
    """Send the worker the answer of `on_ask`, or why there is none."""
    try:
        reply = Answer(ask_id=ask.ask_id, result=await on_ask(ask))
    except Exception as error:
        log.debug("a node pack's question '%s' failed", ask.method, exc_info=True)
        reply = Answer(ask_id=ask.ask_id, error=f"{type(error).__name__}: {error}")
    try:
        await worker.answer(reply)
    except WorkerLost:
        return  # nobody waits any more
    except (ValueError, OverflowError) as error:  # what the wire format does not have
        await worker.answer(Answer(ask_id=ask.ask_id, error=str(error)))


async def cannot_answer(ask: Ask) -> Any:
    """What is asked where nobody knows answers. Raises ValueError."""
    raise ValueError(f"there is nobody to answer '{ask.method}'")
