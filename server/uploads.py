"""Takes uploaded files in: streamed to a temporary file, then given a name that is free."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeAlias

from aiohttp import BodyPartReader, web

from executor.folders import FolderError, Folders
from server.atomic import replacing
from server.body import header_text
from server.errors import BadRequest, Conflict, TooLarge

_IN_MEMORY: Final = 2 * 1024 * 1024  # smaller uploads never touch the disk before they have a name
_CHUNK: Final = 256 * 1024
_LONGEST_FIELD: Final = 64 * 1024
_MOST_PARTS: Final = 64  # parsing many takes seconds


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A form with one file, read whole."""

    file: IO[bytes]  # at its start; gone when closed
    name: str  # as the client calls it
    fields: dict[str, str]  # the other parts of the form

    @property
    def subfolder(self) -> str:
        return self.fields.get("subfolder", "")

    @property
    def file_type(self) -> str:
        return self.fields.get("type", "input")

    @property
    def overwrites(self) -> bool:
        return self.fields.get("overwrite") in ("true", "1")


async def read_upload(request: web.Request, spool: Path, limit: int) -> Upload:
    """Read a multipart form whose part `image` is a file; raises BadRequest or TooLarge.

    The caller closes `file`. `spool` holds what is too large for memory.
    """
    if not request.content_type.startswith("multipart/"):
        raise BadRequest("the body must be multipart/form-data with a file 'image'")
    file = spooled_file(spool)
    try:
        name, fields = await _read_parts(request, file, limit)
        file.seek(0)
    except BaseException as error:
        file.close()
        if isinstance(error, ValueError | AssertionError | KeyError):  # aiohttp's parser
            raise BadRequest("the multipart body is broken", details=str(error)) from None
        raise
    return Upload(file=file, name=name, fields=fields)


async def _read_parts(
    request: web.Request, file: IO[bytes], limit: int
) -> tuple[str, dict[str, str]]:
    name, has_file = "", False
    fields: dict[str, str] = {}
    left, parts = limit, 0
    async for part in await request.multipart():
        parts += 1
        if parts > _MOST_PARTS:
            raise BadRequest(f"a form must not have more than {_MOST_PARTS} parts")
        if not isinstance(part, BodyPartReader):
            raise BadRequest("a multipart form must not be nested")
        if part.name == "image":
            if part.filename is None:
                raise BadRequest("'image' must be sent as a file", field="image")
            if has_file:
                raise BadRequest("the form has more than one file 'image'", field="image")
            name, has_file = header_text(part.filename), True
            left -= await receive(part.read_chunk, file, left, limit)
        elif part.name is not None:
            field = header_text(part.name)
            text = await _read_text(part, field)
            left -= len(field) + len(text)
            if left < 0:
                raise TooLarge(limit)
            fields[field] = text.decode(errors="replace")
    if not name:
        raise BadRequest("the form has no file 'image' with a name", field="image")
    return name, fields


async def _read_text(part: BodyPartReader, name: str) -> bytearray:
    text = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        text += chunk
        if len(text) > _LONGEST_FIELD:
            raise BadRequest(f"the field '{name}' is too long", field=name)
    return text


def spooled_file(folder: Path) -> IO[bytes]:
    """A temporary file that touches the disk only when it grows large."""
    return tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))


async def receive(
    read: Callable[[int], Awaitable[bytes]], file: IO[bytes], left: int, limit: int
) -> int:
    """Copy what `read` gives into a file; the number of bytes. Raises TooLarge."""
    count = 0
    while chunk := await read(_CHUNK):
        count += len(chunk)
        if count > left:
            raise TooLarge(limit)
        if count <= _IN_MEMORY:
            file.write(chunk)
        else:
            await asyncio.to_thread(file.write, chunk)
    return count


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where an upload is."""

    path: Path
    name: str  # for clients, relative to the folder that they asked for


# The files of one owner in a folder, with their modification times in ns.
Own: TypeAlias = Mapping[str, int]
ListOwn: TypeAlias = Callable[[Path], Awaitable[Own]]
Hold: TypeAlias = Callable[[Path], None]  # called before a file appears, in a thread


def _hold_nothing(path: Path) -> None:
    pass


class Uploads:
    """Names for uploaded files. One at a time, so that two uploads never take the same name."""

    def __init__(self, folders: Folders, hash_name: str) -> None:
        self._folders = folders
        self._hash_name = hash_name
        self._naming = asyncio.Lock()

    async def place(
        self,
        upload: Upload,
        content: IO[bytes],
        list_own: ListOwn | None = None,
        hold: Hold = _hold_nothing,
    ) -> Stored:
        """Store the content under the upload's name or a free one like it.

        With `list_own` only files that it lists are written over or taken for the upload. Raises
        BadRequest, Conflict.
        """
        folder, target = await asyncio.to_thread(self._target, upload)
        async with self._naming:
            own = None if list_own is None else await list_own(target.parent)
            stored = await asyncio.to_thread(
                self._place, folder, target, content, upload.overwrites, own, hold
            )
        return Stored(path=stored, name=stored.relative_to(folder).as_posix())

    def _target(self, upload: Upload) -> tuple[Path, Path]:
        try:
            root = self._folders.directory(upload.file_type)
            folder = self._folders.below(root, upload.subfolder)
            target = self._folders.below(folder, upload.name)
        except FolderError as error:
            raise BadRequest(str(error)) from None
        if target == folder or upload.name.endswith("/"):
            raise BadRequest(f"{upload.name!r} is no file name", field="image")
        return folder, target

    def _place(
        self,
        folder: Path,
        target: Path,
        content: IO[bytes],
        overwrite: bool,
        own: Own | None,
        hold: Hold,
    ) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)  # folders in the name itself must exist
            if overwrite and target.is_file() and not _is_own(target, own):
                raise Conflict(f"there is a file {target.name!r} already, which is not yours")
            if not overwrite:
                target, is_there = self._free_name(target, content, own)
                if is_there:
                    return target
            hold(target)
            _write(target, content)
        except OSError as error:
            raise BadRequest(
                f"the name {target.name!r} cannot be used", details=error.strerror or str(error)
            ) from None
        return target

    def _free_name(self, target: Path, content: IO[bytes], own: Own | None) -> tuple[Path, bool]:
        """The first of `x.png`, `x (1).png`, ... that is free, or is one's own of this content."""
        candidate, number = target, 0
        size = content.seek(0, os.SEEK_END)
        digest: bytes | None = None
        while candidate.exists():
            is_like_it = candidate.is_file() and candidate.stat().st_size == size
            if is_like_it and _is_own(candidate, own):
                digest = digest or _digest(content, self._hash_name)
                with candidate.open("rb") as existing:
                    if _digest(existing, self._hash_name) == digest:
                        return candidate, True
            number += 1
            candidate = target.with_name(f"{target.stem} ({number}){target.suffix}")
        return candidate, False


def _is_own(file: Path, own: Own | None) -> bool:
    return own is None or own.get(file.name) == file.stat().st_mtime_ns


def _digest(content: IO[bytes], hash_name: str) -> bytes:
    content.seek(0)
    digest = hashlib.new(hash_name, usedforsecurity=False)
    while block := content.read(1 << 20):
        digest.update(block)
    return digest.digest()


def _write(target: Path, content: IO[bytes]) -> None:
    """Write beside the target, then rename: nobody ever sees half a file."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "there is a folder of that name")
    content.seek(0)
    with replacing(target) as out:
        shutil.copyfileobj(content, out, 1 << 20)
