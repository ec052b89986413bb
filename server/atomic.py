"""Writes files whole or not at all: under a temporary name, then renamed."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_PART_NAME: Final = re.compile(r"\.[0-9a-f]{32}\.part")


@contextmanager
def replacing(target: Path, *, durable: bool = False) -> Iterator[IO[bytes]]:
    """A file to write; when the block ends well it becomes the target, else it is gone.

    `durable`: the content is on disk before it gets the name, so that a power cut leaves the old
    file or the new one.
    """
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as out:
            yield out
            if durable:
                out.flush()
                os.fsync(out.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """True for the temporary names that `replacing` uses."""
    return _PART_NAME.fullmatch(name) is not None
