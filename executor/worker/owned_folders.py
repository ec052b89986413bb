"""Folders as the job of an API key sees them: what belongs to others cannot be used in it.

Names that stand in a graph are looked at when it is submitted (`executor.named_files`). Nodes also
get names from other nodes, and files may come to lie under a name while the job waits: so each is
looked at again when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from executor.folders import FolderError
from nodes.context import NodeFolders


class FileOfOthers(FolderError):
    """The file, or one in the folder, belongs to another key."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no file or folder {name!r} that this key may use")
        self.name = name


class FileRights(Protocol):
    """Knows whose files are. Its methods wait for an answer of the server."""

    def may_use(self, owner: str, path: Path) -> bool:
        """Whether a file, or all in a folder, is the owner's or everybody's."""

    def claim(self, owner: str, paths: Sequence[Path]) -> None:
        """The owner has written these files."""


class OwnedFolders(NodeFolders):
    """The folders of an installation for the job of an owner; names of models are all's."""

    def __init__(self, folders: NodeFolders, rights: FileRights, owner: str) -> None:
        self._folders = folders
        self._rights = rights
        self._owner = owner

    def filename_list(self, kind: str) -> list[str]:
        return self._folders.filename_list(kind)

    def kind_folders(self, kind: str) -> list[Path]:
        return self._folders.kind_folders(kind)

    def full_path(self, kind: str, name: str) -> Path:
        return self._folders.full_path(kind, name)

    def directory(self, file_type: str) -> Path:
        return self._folders.directory(file_type)

    def file_path(self, file_type: str, relative: str) -> Path:
        return self._usable(self._folders.file_path(file_type, relative), relative)

    def below(self, root: Path, relative: str) -> Path:
        """As `NodeFolders.below`. Folders may hold files of several keys: all may add some."""
        path = self._folders.below(root, relative)
        return path if path.is_dir() else self._usable(path, relative)

    def annotated_path(self, name: str) -> Path:
        return self._usable(self._folders.annotated_path(name), name)

    def _usable(self, path: Path, name: str) -> Path:
        if path.exists() and not self._rights.may_use(self._owner, path):
            raise FileOfOthers(name)
        return path
