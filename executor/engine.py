"""All parts of the executor put together: what the server builds once and talks to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from executor.definition_cache import Definitions
from executor.dispatcher import Dispatcher
from executor.folders import Folders
from executor.listener import Listener
from executor.options import FileOptions
from executor.pool import Pool
from executor.store import Store
from executor.validation import ValidatedPrompt
from executor.worker_interface import Worker


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What the executor must know of the settings."""

    folders: Folders  # all folders of the installation
    database_url: str = ""  # default: sqlite in the user folder
    history_limit: int = 10_000  # finished jobs kept
    max_attempts: int = 2  # how often a job whose worker died is started
    workers: int = 1  # worker processes
    startup_wait_s: float = 120.0  # how long requests wait for the first worker
    stop_wait_s: float = 2.0  # how long workers have to end by themselves
    cache_folder: Path | None = None  # of node definitions; default: in the user folder


class Engine:
    """The executor of one server. `start` returns before any worker is ready."""

    store: Store
    pool: Pool
    dispatcher: Dispatcher
    definitions: Definitions
    options: FileOptions

    @classmethod
    async def start(
        cls, config: EngineConfig, listener: Listener, make_worker: Callable[[str], Worker]
    ) -> Engine:
        """Open the store, load cached definitions, start the workers in the background."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End workers and store. Idempotent."""
        raise NotImplementedError

    async def validate(
        self, prompt: object, targets: Collection[str] | None = None
    ) -> ValidatedPrompt:
        """`validate_prompt` with everything bound; waits for definitions at a cold start.

        Raises PromptRejected; TimeoutError or WorkerLost if no worker could be asked.
        """
        raise NotImplementedError
