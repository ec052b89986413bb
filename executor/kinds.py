"""Kinds of model folders as plain data: what node packs have added to those of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from executor.folders import Folders


class KindFolders(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of model folder."""

    kind: str
    paths: list[str]  # in search order
    extensions: list[str]  # in lower case, sorted; empty: every file


def kinds_of(folders: Folders) -> dict[str, KindFolders]:
    """All kinds as they are now."""
    return {
        kind: KindFolders(
            kind=kind,
            paths=[str(path) for path in paths],
            extensions=sorted(folders.extensions.get(kind, ())),
        )
        for kind, paths in folders.models.items()
    }


def changed_kinds(configured: Mapping[str, KindFolders], folders: Folders) -> list[KindFolders]:
    """The kinds that are not as they were."""
    return [kind for name, kind in kinds_of(folders).items() if configured.get(name) != kind]


class KindTable:
    """The kinds of a server: those of its settings, and over them what workers report."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._configured = kinds_of(folders)

    def put(self, changed: Iterable[KindFolders]) -> None:
        """Have these over the configured ones, in place of what was put there before."""
        kinds = self._configured | {kind.kind: kind for kind in changed}
        # New tables, not changes of the old ones: threads may be looking at those.
        self._folders.extensions = {
            name: frozenset(kind.extensions) for name, kind in kinds.items()
        }
        self._folders.models = {
            name: [Path(path) for path in kind.paths] for name, kind in kinds.items()
        }
