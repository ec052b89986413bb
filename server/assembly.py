"""Builds the engine from the settings. Imported late and in a thread: SQLAlchemy comes with it."""

from __future__ import annotations

from typing import Any

from executor.engine import Engine, EngineConfig
from executor.folders import Folders
from executor.local_worker import LocalWorker
from server.access import Access
from server.catalogue import Catalogue
from server.hub import Hub
from server.listener import HubListener, ProgressView
from server.pack_questions import PackQuestions
from server.routes.prompt import submit_prompt
from server.services import Core
from server.settings import GIB, MIB, Settings
from server.workers import WorkerConfigs, remote_files


async def start_core(
    settings: Settings, folders: Folders, access: Access, hub: Hub, progress: ProgressView
) -> Core:
    """Open the database and start the workers; returns before any worker is ready."""
    config = EngineConfig(
        folders=folders,
        remote=remote_files(settings),
        database_url=settings.database_url,
        history_limit=settings.history_limit,
        history_days=settings.history_days,
        history_bytes=int(settings.history_max_size * MIB),
        max_attempts=settings.job_attempts,
        interrupt_grace_s=settings.interrupt_grace,
        workers=settings.workers,
        worker_max_prompts=settings.worker_max_prompts,
        worker_max_bytes=int(settings.worker_max_memory * GIB),
        startup_wait_s=settings.startup_wait,
        check_s=settings.check_timeout,
        stop_wait_s=settings.stop_wait,
    )
    configs = WorkerConfigs(settings, folders)
    engine = await Engine.start(
        config,
        HubListener(hub, progress),
        lambda name: LocalWorker(name, configs.make(name), silence_s=settings.worker_silence),
    )

    async def submit(body: dict[str, Any]) -> dict[str, Any]:
        return (await submit_prompt(engine, body)).answer

    questions = PackQuestions(engine, hub, submit, access.sees_all)
    engine.dispatcher.on_ask = questions.answer
    hub.running_for = engine.dispatcher.running_for
    hub.remaining_of = engine.dispatcher.remaining_of
    catalogue = Catalogue(
        engine.definitions,
        engine.options,
        wait_s=settings.startup_wait,
        refresh=engine.lists.refresh,
    )
    return Core(engine=engine, catalogue=catalogue)
