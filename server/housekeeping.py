"""Keeps the folders of clients' files within the settings, while the server runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from executor import json_text
from executor.folders import OUTPUT_MODEL_FOLDERS, FileType, Folders, split_annotation
from executor.jobs import Job
from server.retention import Limits, delete, look_into, remove_folders, surplus
from server.settings import MIB, Settings

log = logging.getLogger(__name__)

FRESH_S: Final = 60.0  # files of so many seconds stay: clients still ask for them, or name them
_LOOK_S: Final = 1.0  # after which it is asked whether jobs have changed
_EVERY_S: Final = 60.0  # that folders are looked into although none has
_REST: Final = 20  # times as long as the last look took, until the next one
_AT_ONCE: Final = 64  # files, until it is asked again which are needed


class Queue(Protocol):
    """What waits and runs; `executor.store.Store` is one."""

    @property
    def revision(self) -> int:
        """Another number after every change."""

    async def queue(self) -> tuple[Sequence[Job], Sequence[Job]]:
        """The jobs that workers have, and the first page of those that wait."""

    def queued_after(self, page: Sequence[Job]) -> AsyncIterator[Sequence[Job]]:
        """The further pages."""


class Housekeeping:
    """Deletes files now and then, in a thread. Owned by the event loop."""

    def __init__(self, folders: Folders, limits: Mapping[FileType, Limits]) -> None:
        self._folders = folders
        self._limits = {kind: limit for kind, limit in limits.items() if limit.are_set}

    async def run(self, queue: Queue) -> None:
        """Look after the folders until cancelled: when jobs have changed, and now and then."""
        seen, due = -1, 0.0
        while self._limits:
            began = time.monotonic()
            if queue.revision != seen or began >= due:
                seen, due = queue.revision, began + _EVERY_S
                try:
                    for kind, limits in self._limits.items():
                        await self._tidy(kind, limits, queue)
                except Exception:
                    log.exception("old files could not be deleted")
            await asyncio.sleep(max(_LOOK_S, _REST * (time.monotonic() - began)))

    async def _tidy(self, kind: FileType, limits: Limits, queue: Queue) -> None:
        root = self._folders.directory(kind)
        now = await _look_at(queue)
        contents = await asyncio.to_thread(look_into, root, now.before, self._spared(kind))
        gone = surplus(contents.files, limits, time.time(), now.before, now.needed)
        count = 0
        for first in range(0, len(gone), _AT_ONCE):
            now = await _look_at(queue)  # jobs have come since
            doomed = [
                file for file in gone[first : first + _AT_ONCE] if file.name not in now.needed
            ]
            count += await asyncio.to_thread(delete, root, doomed)
        if count:
            log.info("%d old files of %s were deleted", count, root)
        if now.is_idle:  # else a worker may be about to save into one
            await asyncio.to_thread(remove_folders, root, contents.empty_folders)

    def _spared(self, kind: FileType) -> frozenset[str]:
        """Folders below which nothing is deleted: of models, of users, and of other kinds."""
        folders = self._folders
        others = [folders.input, folders.output, folders.temp, folders.user, folders.models_root]
        others += [path for paths in folders.models.values() for path in paths]
        if kind == "output":
            others += [folders.output / name for name in OUTPUT_MODEL_FOLDERS.values()]
        own = os.path.realpath(folders.directory(kind))
        return frozenset(map(os.path.realpath, others)) - {own}


def limits_of(settings: Settings) -> dict[FileType, Limits]:
    """What the settings allow each folder to hold."""
    return {
        "input": Limits(
            files=settings.input_max_files,
            days=settings.input_max_days,
            size=int(settings.input_max_size * MIB),
        ),
        "output": Limits(
            files=settings.output_max_files,
            days=settings.output_max_days,
            size=int(settings.output_max_size * MIB),
        ),
        "temp": Limits(
            files=settings.temp_max_files,
            days=settings.temp_max_days,
            size=int(settings.temp_max_size * MIB),
        ),
    }


@dataclass(frozen=True, kw_only=True)
class _Moment:
    """What jobs need."""

    needed: frozenset[str]  # names of files
    before: float  # seconds since 1970: what was changed later may be at work
    is_idle: bool  # nothing runs


async def _look_at(queue: Queue) -> _Moment:
    running, page = await queue.queue()
    names: set[str] = set()
    await asyncio.to_thread(_note_names, [*running, *page], names)
    async for further in queue.queued_after(page):
        await asyncio.to_thread(_note_names, further, names)
    starts = [job.started_at / 1000 for job in running if job.started_at is not None]
    before = min([time.time() - FRESH_S, *starts])
    return _Moment(needed=frozenset(names), before=before, is_idle=not running)


def _note_names(jobs: Iterable[Job], names: set[str]) -> None:
    """Collect the last part of whatever may be the name of a file in the graphs."""
    for job in jobs:
        with contextlib.suppress(ValueError):
            _note_texts(json_text.decode(job.prompt), names)


def _note_texts(value: Any, names: set[str]) -> None:
    level = [value]
    while level:
        item = level.pop()
        if isinstance(item, dict):
            level.extend(item.values())
        elif isinstance(item, list):
            level.extend(item)
        elif isinstance(item, str):
            name, _ = split_annotation(item)
            names.update({Path(name).name, Path(item).name})
