"""Kinds of model folders as plain data: what node packs have added to those of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from executor.folders import Folders


class ModelKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of model folders."""

    folders: list[str]  # in search order
    extensions: list[str]  # of its files, sorted; none: every file


def kinds_of(folders: Folders) -> dict[str, ModelKind]:
    """All kinds as they are now."""
    return {
        kind: ModelKind(
            folders=[str(path) for path in paths],
            extensions=sorted(folders.extensions.get(kind, ())),
        )
        for kind, paths in folders.models.items()
    }


def changed_kinds(configured: Mapping[str, ModelKind], folders: Folders) -> dict[str, ModelKind]:
    """The kinds that are not as they were."""
    return {name: kind for name, kind in kinds_of(folders).items() if configured.get(name) != kind}


class KindTable:
    """The kinds of a server: those of its settings, and over them what workers report."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._configured = kinds_of(folders)

    def put(self, changed: Mapping[str, ModelKind]) -> None:
        """Have these over the configured ones, in place of what was put there before."""
        kinds = {**self._configured, **changed}
        # New tables, not changes of the old ones: threads may be looking at those.
        self._folders.extensions = {
            name: frozenset(kind.extensions) for name, kind in kinds.items()
        }
        self._folders.models = {
            name: [Path(path) for path in kind.folders] for name, kind in kinds.items()
        }
