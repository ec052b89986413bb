"""The choices of file inputs, listed from disk: alike in the server and in workers. No torch."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from executor.folders import Folders
from executor.listing import can_be_named

INPUT_IMAGES = "input_images"

# Types that Python's table lacks on some systems.
_IMAGE_EXTENSIONS = frozenset({".webp", ".avif", ".jxl"})


class FileOptionLists:
    """Names for `NodeDefinition.file_options`."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def names(self, source: str) -> list[str]:
        """Files of a model folder kind, or the images of the input folder; sorted."""
        if source != INPUT_IMAGES:
            return self._folders.filename_list(source)
        try:
            with os.scandir(self._folders.input) as entries:
                return sorted(entry.name for entry in entries if self._is_offered(entry))
        except OSError:
            return []

    def _is_offered(self, entry: os.DirEntry[str]) -> bool:
        if not (_is_image(entry.name) and can_be_named(entry.name) and entry.is_file()):
            return False
        return not entry.is_symlink() or self._folders.is_reachable(entry.path)

    def annotated_path(self, name: str) -> Path:
        """The path that a choice among input images stands for; raises OutsideFolder."""
        return self._folders.annotated_path(name)


def _is_image(name: str) -> bool:
    guessed = mimetypes.guess_type(name)[0] or ""
    extension = name[name.rfind(".") :].lower() if "." in name else ""
    return guessed.startswith("image/") or extension in _IMAGE_EXTENSIONS
