"""Text files in compressed form: each compressed once, in a thread, and kept on disk."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import logging
import os
import tempfile
import zlib
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

GZIP: Final = "gzip"
BROTLI: Final = "br"

_LARGEST: Final = 64 * 1024 * 1024  # held in memory while it is compressed
_SMALLEST: Final = 1024  # less than a packet is not worth it
_KEPT: Final = 256 * 1024 * 1024  # on disk; a front end takes about 25 MB in both encodings
_AT_ONCE: Final = 2  # so that the first load of a page leaves threads for others

# 11 MB of minified script: 1.8 MB in 0.13 s; quality 9 saves 5 % more and takes four times as long.
_BROTLI_QUALITY: Final = 5
_GZIP_LEVEL: Final = 6


class CompressedFiles:
    """A folder of compressed copies, each known by the place, time and size of its original."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._making: dict[Path, asyncio.Task[bool]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._is_usable = True
        # Best first. Brotli's library is optional.
        self.encodings = (BROTLI, GZIP) if importlib.util.find_spec("brotli") else (GZIP,)

    async def find(self, file: Path, encoding: str) -> Path | None:
        """The compressed copy of a file, made if it is missing; None: send the file as it is."""
        if not self._is_usable:
            return None
        copy, is_there = await asyncio.to_thread(self._look_up, file, encoding)
        if copy is None or is_there:
            return copy
        making = self._making.get(copy)
        if making is None:
            making = asyncio.create_task(self._make(file, encoding, copy))
            self._making[copy] = making
            making.add_done_callback(lambda _: self._making.pop(copy, None))
        # A client that goes away must not take the copy from the others.
        return copy if await asyncio.shield(making) else None

    def _look_up(self, file: Path, encoding: str) -> tuple[Path | None, bool]:
        status = file.stat()
        if not _SMALLEST <= status.st_size <= _LARGEST:
            return None, False
        key = f"{file}\0{status.st_mtime_ns}\0{status.st_size}"
        name = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        copy = self._folder / f"{name}.{encoding}"
        return copy, copy.is_file()

    async def _make(self, file: Path, encoding: str, copy: Path) -> bool:
        async with self._slots:
            try:
                await asyncio.to_thread(_write_copy, file, encoding, copy)
            except OSError as error:
                self._is_usable = False
                log.warning("pages are sent uncompressed: %s", error)
                return False
        return True


def _write_copy(file: Path, encoding: str, copy: Path) -> None:
    """Write the copy with its original's time, which becomes its Last-Modified and its ETag."""
    status = file.stat()
    content = _compress(file.read_bytes(), encoding)
    copy.parent.mkdir(parents=True, exist_ok=True)
    _make_room(copy.parent, len(content))
    with tempfile.NamedTemporaryFile(dir=copy.parent, suffix=".part", delete=False) as part:
        try:
            part.write(content)
            part.flush()
            os.utime(part.name, ns=(status.st_atime_ns, status.st_mtime_ns))
            Path(part.name).replace(copy)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def _compress(content: bytes, encoding: str) -> bytes:
    if encoding == BROTLI:
        import brotli  # optional

        compressed: bytes = brotli.compress(content, quality=_BROTLI_QUALITY)
        return compressed
    return zlib.compress(content, level=_GZIP_LEVEL, wbits=31)  # 31: with gzip's header


def _make_room(folder: Path, size: int) -> None:
    """Delete the copies that were made first, mostly of former versions, when there are many."""
    copies: list[tuple[float, int, str]] = []
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # another server made room too
            status = entry.stat()
            copies.append((status.st_ctime, status.st_size, entry.path))
    copies.sort()
    total = sum(size for _, size, _ in copies)
    for _, freed, path in copies:
        if total + size <= _KEPT:
            return
        Path(path).unlink(missing_ok=True)
        total -= freed
