"""The files of a kind of models, one by one, and the pictures that show them. Blocking."""

from __future__ import annotations

import io
import os.path
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO, Any, Final

from executor.folders import Folders, inside
from executor.listing import list_files
from server.errors import BadRequest
from server.images import thumbnail
from server.model_metadata import EXTENSIONS, LONGEST_HEADER, cover_images, read_metadata

# Folders of these kinds hold no models.
NO_MODELS: Final = frozenset({"configs", "custom_nodes"})

LONGEST_SIDE: Final = 1024  # of a preview, in pixels

# Parts between a model's name and the extension of its picture.
_MIDDLES: Final = ("", ".preview", ".thumb")
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")


def model_entries(folders: Folders, kind: str) -> list[dict[str, Any]]:
    """All files of a kind but hidden ones; one that lies in two folders appears twice."""
    extensions = folders.extensions.get(kind, frozenset())
    return [
        entry
        for index, folder in enumerate(folders.kind_folders(kind))
        for name in list_files([folder], extensions).names
        if not any(part.startswith(".") for part in PurePath(name).parts)
        and (entry := _entry(folder, index, name)) is not None
    ]


def _entry(folder: Path, index: int, name: str) -> dict[str, Any] | None:
    try:
        status = (folder / name).stat()
    except OSError:  # it went away after it was listed
        return None
    return {
        "name": name,
        "pathIndex": index,
        "modified": status.st_mtime,
        "created": status.st_ctime,
        "size": status.st_size,
    }


def preview(folder: Path, name: str) -> bytes | None:
    """The picture of a model as WebP, None if there is none that can be read.

    Raises OutsideFolder for a name that leaves the folder.
    """
    model = inside(folder, name)
    if not os.path.isfile(model):  # noqa: PTH113  (Path.is_file raises for a name that is too long)
        return None
    for source in _sources(model):
        try:
            return thumbnail(source, LONGEST_SIDE)
        except (BadRequest, OSError):  # not a picture, or not there: the next may be
            continue
    return None


def _sources(model: Path) -> Iterator[Path | IO[bytes]]:
    """Pictures beside the model, then those in it."""
    for middle in (*_MIDDLES, model.suffix):
        for extension in _PICTURES:
            beside = model.with_name(model.stem + middle + extension)
            if os.path.isfile(beside):  # noqa: PTH113
                yield beside
    if model.suffix.lower() in EXTENSIONS:
        for cover in cover_images(read_metadata(model, LONGEST_HEADER) or {}):
            yield io.BytesIO(cover)
