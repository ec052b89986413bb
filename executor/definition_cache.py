"""Node definitions that outlive the worker: in memory now, on disk for the next start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from executor.definitions import NodeDefinition
from executor.packs import LoadedPacks
from executor.rules import RuleBook

log = logging.getLogger(__name__)

CACHE_NAME: Final = "node_definitions.msgpack"


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has told of its nodes; the form on disk."""

    fingerprint: str  # of what all this was made from
    definitions: list[NodeDefinition]
    packs: LoadedPacks = LoadedPacks()


_decode = msgspec.msgpack.Decoder(Published).decode


class Definitions:
    """The node definitions in force. Owned by the event loop."""

    def __init__(self) -> None:
        self.by_name: Mapping[str, NodeDefinition] = {}
        self.fingerprint = ""  # of what they were made from; "" while unknown
        self.revision = 0  # grows with every change, so that encoded answers can be kept
        self.book = RuleBook({})  # the same, in the form that validation needs
        self.packs = LoadedPacks()  # what became of the node packs
        self._known = asyncio.Event()
        self._settled = asyncio.Event()  # known, or none will come for the time being
        self._failure: str | None = None

    @property
    def are_known(self) -> bool:
        return self._known.is_set()

    def fail(self, reason: str) -> None:
        """Workers fail to start again and again: nobody needs to wait for one."""
        self._failure = reason
        self._settled.set()

    async def wait(self, wait_s: float) -> None:
        """Wait until definitions are known; raises TimeoutError, also if workers cannot start."""
        async with asyncio.timeout(wait_s):
            await self._settled.wait()
        if not self.are_known:
            raise TimeoutError(f"no worker can start: {self._failure}")

    def update(self, definitions: Iterable[NodeDefinition]) -> bool:
        """Take over the inputs of some classes that are known; whether that changed anything."""
        by_name = dict(self.by_name)
        for new in definitions:
            if new.name in by_name:
                by_name[new.name] = msgspec.structs.replace(
                    by_name[new.name],
                    info=new.info,
                    file_options=new.file_options,
                    choices_before_files=new.choices_before_files,
                )
        published = Published(
            fingerprint=self.fingerprint, definitions=list(by_name.values()), packs=self.packs
        )
        return self.replace(published)

    def replace(self, published: Published) -> bool:
        """Put others in force; whether that changed any definition."""
        by_name = {definition.name: definition for definition in published.definitions}
        is_same = self.are_known and by_name == self.by_name
        self.fingerprint = published.fingerprint
        self.packs = published.packs
        self._known.set()
        self._settled.set()
        if is_same:
            return False
        self.by_name = by_name
        self.book = RuleBook(by_name)
        self.revision += 1
        return True


def load_cached(folder: Path, fingerprint: str) -> Published | None:
    """What was saved under this fingerprint; None if there is nothing to trust."""
    try:
        cached = _decode((folder / CACHE_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("the cached node definitions in '%s' are not used: %s", folder, error)
        return None
    return cached if cached.fingerprint == fingerprint else None


def save_cached(folder: Path, published: Published) -> None:
    """Save definitions for the next start; a folder that cannot be written is only logged."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_atomically(folder / CACHE_NAME, msgspec.msgpack.encode(published))
    except OSError as error:
        log.warning("the node definitions are not cached: %s", error)


def _write_atomically(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
