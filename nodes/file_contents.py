"""Files that nodes read from the input folder: whether they are there, and whether they changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nodes.context import installed_files


def digest(path: Path) -> str:
    """A digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(path: Path) -> str:
    """What changes when a file does, for files too large to be read whole for this."""
    status = path.stat()
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def check_file(name: str, kind: str) -> bool | str:
    """For VALIDATE_INPUTS: whether a file is there, or what is wrong with its name.

    A name may be annotated, as in `a.png [output]`.
    """
    try:
        path = installed_files().annotated_path(name)
    except Exception as error:  # the folders say what is wrong with the name
        return str(error)
    return path.is_file() or f"there is no {kind} file '{name}'"
