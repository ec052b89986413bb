"""`folder_paths.folder_names_and_paths` and `executor.folders.Folders` as one table.

Packs assign to the former and append to the lists in it; what they do must hold for all who look
for model files. So the former is where the kinds live, and `Folders` sees it through views.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from executor.folders import KIND_ALIASES, MODEL_EXTENSIONS, Folders


class KindTable(dict[str, Any]):
    """Kind -> (list of folders, set of extensions), as packs know it.

    The old names `unet` and `clip` are understood, but not listed.
    """

    def __missing__(self, kind: str) -> Any:
        if kind in KIND_ALIASES:
            return self[KIND_ALIASES[kind]]
        raise KeyError(kind)

    def folders(self, kind: str) -> list[str]:
        """The folders of a kind; raises KeyError."""
        entry = self[kind]
        paths = entry[0]
        return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]

    def extensions(self, kind: str) -> frozenset[str]:
        """The extensions of a kind; empty: every file."""
        entry = self[kind]
        listed: Iterable[str] = entry[1] if len(entry) > 1 else ()
        return frozenset(extension.lower() for extension in listed)


class _FoldersView(MutableMapping[str, list[Path]]):
    """`Folders.models` over the table."""

    def __init__(self, table: KindTable) -> None:
        self._table = table

    def __getitem__(self, kind: str) -> list[Path]:
        return [Path(path) for path in self._table.folders(kind)]

    def __setitem__(self, kind: str, paths: list[Path]) -> None:
        entry = self._table.get(kind, ([], set()))
        self._table[kind] = ([str(path) for path in paths], *entry[1:])

    def __delitem__(self, kind: str) -> None:
        del self._table[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._table))

    def __len__(self) -> int:
        return len(self._table)


class _ExtensionsView(MutableMapping[str, frozenset[str]]):
    """`Folders.extensions` over the table."""

    def __init__(self, table: KindTable) -> None:
        self._table = table

    def __getitem__(self, kind: str) -> frozenset[str]:
        return self._table.extensions(kind)

    def __setitem__(self, kind: str, extensions: frozenset[str]) -> None:
        entry = self._table.get(kind, ([],))
        self._table[kind] = (entry[0], set(extensions))

    def __delitem__(self, kind: str) -> None:
        raise TypeError(f"delete the kind '{kind}', not its extensions")

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._table))

    def __len__(self) -> int:
        return len(self._table)


def take_over(folders: Folders, model_extensions: set[str]) -> KindTable:
    """Make the table of all kinds, and have `folders` look into it from now on.

    Kinds of ordinary models share the set `model_extensions`: a pack that adds to it adds to them.
    """
    table = KindTable()
    for kind, paths in folders.models.items():
        extensions = folders.extensions.get(kind, frozenset())
        shared = model_extensions if extensions == MODEL_EXTENSIONS else set(extensions)
        table[kind] = ([str(path) for path in paths], shared)
    folders.models = _FoldersView(table)
    folders.extensions = _ExtensionsView(table)
    return table
