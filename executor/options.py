"""Fills lists of files into node definitions: fresh from disk, without a worker."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from executor.definitions import NodeDefinition
from executor.folders import Folders

INPUT_IMAGES = "input_images"


class FileOptions:
    """The file lists that inputs offer. Its methods read folders: call them in a thread."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def names(self, source: str) -> Sequence[str]:
        """Sorted names of a source: a model kind, or `input_images`."""
        raise NotImplementedError

    def accepts(self, source: str, value: object) -> bool:
        """Whether the value names a file of that source; images also with ` [output]` and so on."""
        raise NotImplementedError

    def fill(self, definition: NodeDefinition) -> dict[str, Any]:
        """The definition's /object_info entry with its file lists filled in (a copy)."""
        raise NotImplementedError

    def snapshot(self, sources: Collection[str]) -> Mapping[str, Sequence[str]]:
        """`names` of several sources."""
        return {source: self.names(source) for source in sources}
