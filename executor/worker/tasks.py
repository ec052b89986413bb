"""Async node code: its event loop, the tasks of parked nodes, and waiting for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

_POLL_S = 0.1  # how often a sleeping run looks whether it was interrupted
_CANCEL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Left:
    """A call that ended with SystemExit or KeyboardInterrupt.

    asyncio throws these out of the event loop: they would end whatever node is at work then.
    """

    error: BaseException


async def _contained(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        return _Left(error)


class ParkedTasks:
    """The tasks of the async nodes of one run, by node id."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[str, list[asyncio.Task[Any]]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, made when it is first needed."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task for one call; it runs when the loop does."""
        return self.loop.create_task(_contained(coroutine))

    def start_waiting(self, future: Future[Any]) -> asyncio.Task[Any]:
        """A task for a call that another thread makes."""

        async def wait() -> Any:
            return await asyncio.wrap_future(future)

        return self.start(wait())

    def wait_here(self, task: asyncio.Task[Any], check_interrupted: Callable[[], None]) -> Any:
        """Wait for a task to end, and give its result; other tasks go on meanwhile."""
        while not task.done():
            check_interrupted()
            self.loop.run_until_complete(asyncio.wait([task], timeout=_POLL_S))
        return _result(task)

    def turn(self) -> None:
        """Give every task one chance to go on."""
        if self._loop is not None:
            self._loop.run_until_complete(asyncio.sleep(0))

    def park(self, node_id: str, tasks: list[asyncio.Task[Any]]) -> None:
        """Remember the tasks of a node that could not finish at once."""
        self._tasks[node_id] = tasks

    def take_done(self) -> list[str]:
        """The parked nodes that can go on: all their calls are done, or one has failed."""
        done = [node_id for node_id, tasks in self._tasks.items() if _is_over(tasks)]
        for node_id in done:
            for task in self._tasks.pop(node_id):
                task.cancel()
        return done

    def wait(self) -> None:
        """Sleep until a task ends, or for a moment."""
        tasks = [task for tasks in self._tasks.values() for task in tasks if not task.done()]
        if tasks:
            self.loop.run_until_complete(
                asyncio.wait(tasks, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
            )

    def close(self) -> None:
        """Cancel what still runs, and end the loop."""
        if self._loop is None:
            return
        running = asyncio.all_tasks(self._loop)
        for task in running:
            task.cancel()
        try:
            if running:
                self._loop.run_until_complete(asyncio.wait(running, timeout=_CANCEL_WAIT_S))
        except BaseException:  # of a task that a node has started on its own
            log.warning("a task that was cancelled raised an error", exc_info=True)
        self._loop.close()
        self._loop = None
        self._tasks.clear()


def is_task(value: object) -> bool:
    """Whether a call gave a task instead of its result."""
    return isinstance(value, asyncio.Task)


def collect(returned: list[Any]) -> list[Any]:
    """The results of all calls, sync or async; raises what a call raised."""
    for value in returned:
        if isinstance(value, asyncio.Task) and _has_failed(value):
            _result(value)  # the error rather than the cancellation of the others
    return [_result(value) if isinstance(value, asyncio.Task) else value for value in returned]


def _result(task: asyncio.Task[Any]) -> Any:
    """What a task that is done gave; raises what it raised."""
    result = task.result()
    if isinstance(result, _Left):
        raise result.error
    return result


def _has_failed(task: asyncio.Task[Any]) -> bool:
    if not task.done() or task.cancelled():
        return False
    return task.exception() is not None or isinstance(task.result(), _Left)


def _is_over(tasks: list[asyncio.Task[Any]]) -> bool:
    return all(task.done() for task in tasks) or any(
        task.cancelled() or _has_failed(task) for task in tasks
    )
