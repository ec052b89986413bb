"""All parts of the executor put together: what the server builds once and talks to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from executor.calls import VALIDATE_INPUTS, CheckRequest, CheckResult
from executor.definition_cache import Definitions, Published, load_cached, save_cached
from executor.definitions import NodeDefinition
from executor.dispatcher import Dispatcher
from executor.folders import CACHE_FOLDER, Folders
from executor.jobs import Job
from executor.kinds import KindTable
from executor.listener import Listener
from executor.messages import JsonObject, Ready
from executor.node_replacement import Replacements, read_replacement
from executor.options import FileOptions
from executor.pack_lists import PackLists, names_what_is_not_listed
from executor.pool import Pool
from executor.remote_files import RemoteFiles
from executor.store import Store
from executor.validation import PromptRejected, ValidatedPrompt, validate_prompt
from executor.worker_interface import CallFailed, NoAnswer, Worker, WorkerLost

log = logging.getLogger(__name__)

DATABASE_NAME: Final = "darkroom.db"
LISTS_S: Final = 5.0  # that a worker has to list anew what a prompt names


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What the executor must know of the settings."""

    folders: Folders  # all folders of the installation
    remote: RemoteFiles = field(default_factory=RemoteFiles)  # what inputs may name by URL
    database_url: str = ""  # default: sqlite in the user folder
    history_limit: int = 10_000  # finished jobs kept
    history_days: float = 0.0  # days that they are kept; 0: any number
    history_bytes: int = 0  # that they may take; 0: any number
    max_attempts: int = 2  # how often a job whose worker died is started
    interrupt_grace_s: float = 10.0  # how long an interrupted job may go on
    workers: int = 1  # worker processes
    worker_max_prompts: int = 0  # that a worker runs before it is replaced; 0: any number
    worker_max_bytes: int = 0  # of memory that a worker may keep after a prompt; 0: any
    startup_wait_s: float = 120.0  # how long requests wait for the first worker
    check_s: float = 10.0  # how long the own check of a node class may take
    stop_wait_s: float = 2.0  # how long workers have to end by themselves
    cache_folder: Path | None = None  # of node definitions; default: in the user folder

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.folders.user / DATABASE_NAME}"

    @property
    def definitions_folder(self) -> Path:
        return self.cache_folder or self.folders.user / CACHE_FOLDER


class Engine:
    """The executor of one server. Made by `start`, which returns before any worker is ready."""

    def __init__(self, config: EngineConfig, store: Store, pool: Pool, listener: Listener) -> None:
        self._config = config
        self._saving: set[asyncio.Task[None]] = set()
        self.store = store
        self.pool = pool
        self.definitions = Definitions()
        pool.on_failing = self.definitions.fail
        self.options = FileOptions(config.folders, config.remote)
        self.lists = PackLists(self.definitions, pool)
        self._kinds = KindTable(config.folders)
        self.replacements = Replacements()
        self.dispatcher = Dispatcher(
            store,
            pool,
            listener,
            max_attempts=config.max_attempts,
            interrupt_grace_s=config.interrupt_grace_s,
            on_ready=self._take_definitions,
        )
        self.file_owners = store.file_owners(config.folders)
        self.dispatcher.on_shown = self._claim_shown
        self.dispatcher.on_folders = lambda event: self._kinds.put(event.kinds)

    @classmethod
    async def start(
        cls, config: EngineConfig, listener: Listener, make_worker: Callable[[str], Worker]
    ) -> Engine:
        """Open the store, load cached definitions, start the workers in the background.

        Raises StoreError.
        """
        store = await Store.open(
            config.url,
            history_limit=config.history_limit,
            history_days=config.history_days,
            history_bytes=config.history_bytes,
        )
        pool = Pool(
            make_worker,
            config.workers,
            max_prompts=config.worker_max_prompts,
            max_bytes=config.worker_max_bytes,
        )
        engine = cls(config, store, pool, listener)
        await engine._load_definitions()
        await engine.file_owners.forget_temp()
        await engine.dispatcher.start()
        return engine

    async def stop(self) -> None:
        """End workers and store. Idempotent."""
        await self.dispatcher.stop(self._config.stop_wait_s)
        for task in list(self._saving):
            await asyncio.wait([task])
        await self.store.close()

    async def validate(
        self, prompt: object, targets: Collection[str] | None = None
    ) -> ValidatedPrompt:
        """`validate_prompt` with everything bound; waits for definitions at a cold start.

        Nodes of classes that are not registered are replaced first where that is possible.

        Raises PromptRejected; TimeoutError or WorkerLost if no worker could be asked.
        """
        if not self.definitions.are_known:
            await self.definitions.wait(self._config.startup_wait_s)
        try:
            validated = await self._validate(prompt, targets)
        except PromptRejected as rejected:
            if not await self._lists_changed(rejected.node_errors):
                raise
        else:
            if not await self._lists_changed(validated.node_errors):
                return validated
        return await self._validate(prompt, targets)

    async def _lists_changed(self, node_errors: Mapping[str, Any]) -> bool:
        """Whether a value that was refused may be in a list of a pack by now."""
        is_about_lists = names_what_is_not_listed(node_errors)
        return is_about_lists and await self.lists.refresh(LISTS_S)

    async def _validate(self, prompt: object, targets: Collection[str] | None) -> ValidatedPrompt:
        return await validate_prompt(
            self.replacements.apply(prompt, self.definitions.by_name),
            self.definitions.book,
            options=self.options,
            check=self._ask_classes,
            targets=targets,
        )

    async def _ask_classes(self, requests: Sequence[CheckRequest]) -> list[CheckResult]:
        """One after another: a worker answers one at a time, and others want to ask too."""
        results: list[CheckResult] = []
        for request in requests:
            try:
                results.append(await self._ask_class(request))
            except NoAnswer:
                text = f"the check of '{request.class_type}' took longer than "
                text += f"{self._config.check_s:g} s"
                hung = CheckResult(
                    ok=False, exception_type=TimeoutError.__name__, exception_message=text
                )
                return results + [hung] * (len(requests) - len(results))
        return results

    async def _ask_class(self, request: CheckRequest) -> CheckResult:
        arguments = msgspec.to_builtins(request)
        wait_s, answer_s = self._config.startup_wait_s, self._config.check_s

        async def ask() -> Any:
            return await self.pool.call(
                VALIDATE_INPUTS, arguments, wait_s=wait_s, answer_s=answer_s
            )

        try:
            try:
                answer = await ask()
            except WorkerLost:  # perhaps not because of the check: once more, by the next one
                answer = await ask()
        except (
            CallFailed,
            WorkerLost,
            OverflowError,
            ValueError,
        ) as error:  # unknown there, or not to be sent
            return CheckResult(
                ok=False, exception_type=type(error).__name__, exception_message=str(error)
            )
        return msgspec.convert(answer, CheckResult)

    async def _load_definitions(self) -> None:
        folder = self._config.definitions_folder

        cached = await asyncio.to_thread(lambda: load_cached(folder, self.pool.fingerprint()))
        if cached is not None:
            self.definitions.replace(cached)
            self._kinds.put(cached.packs.model_kinds)
            self._take_replacements()

    def _claim_shown(self, job: Job, shown: JsonObject) -> None:
        if job.owner is not None:
            self.file_owners.claim_shown(job.owner, shown, job.started_at or 0)

    def _take_replacements(self) -> None:
        """What packs say about classes that theirs stand for."""
        for definition in self.definitions.by_name.values():
            for entry in definition.replaces:
                self.replacements.register(read_replacement(entry))

    def _take_definitions(self, ready: Ready) -> None:
        """A worker is ready: its definitions hold from now on, and are kept for the next start."""
        self._kinds.put(ready.packs.model_kinds)
        if ready.definitions is None:
            return
        published = Published(
            fingerprint=ready.fingerprint,
            definitions=msgspec.convert(ready.definitions, list[NodeDefinition]),
            packs=ready.packs,
        )
        known = self.definitions
        is_new = (ready.fingerprint, ready.packs) != (known.fingerprint, known.packs)
        has_changed = known.replace(published)
        self._take_replacements()
        if has_changed or is_new:
            folder = self._config.definitions_folder
            task = asyncio.create_task(asyncio.to_thread(save_cached, folder, published))
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)
