"""One server for each base folder: a second one would empty its temp folder and run its jobs."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from executor.folders import READ_ONLY

LOCK_NAME: Final = ".darkroom.lock"


class FolderInUse(Exception):
    """Another server has the base folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        who = f"the server with process id {holder}" if holder else "another server"
        super().__init__(
            f"the base folder '{folder}' is in use by {who}; stop that one, or give this one "
            "another --base-directory"
        )


@contextmanager
def held(folder: Path, process_id: int, otherwise: Path | None = None) -> Iterator[None]:
    """Hold the folder; the system lets go of it when the process ends, however that happens.

    In a folder that may not be written the lock is in `otherwise`, which such servers share if
    they share any state. Raises FolderInUse, OSError.
    """
    try:
        file = _open(folder)
    except OSError as error:
        if otherwise is None or error.errno not in READ_ONLY:
            raise
        file = _open(otherwise)
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise FolderInUse(folder, lock.read(20).strip()) from None
        lock.truncate(0)
        lock.write(f"{process_id}\n")
        lock.flush()
        yield


def _open(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / LOCK_NAME).open("a+", encoding="ascii")
