"""Files that node packs bring for clients: workflow templates, subgraphs, translations."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from executor.listing import is_file, is_folder
from executor.packs import Pack
from server.file_names import is_text
from server.translations import LocaleFile, Translations

_TEMPLATE_FOLDERS: Final = ("example_workflows", "example", "examples", "workflow", "workflows")
_SUBGRAPH_FOLDER: Final = "subgraphs"
_LOCALE_FOLDER: Final = "locales"
_SOURCE: Final = "custom_node"


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A subgraph that a pack offers."""

    name: str
    pack: str
    file: Path

    @property
    def id(self) -> str:
        """The same on every machine and after every start."""
        return hashlib.sha256(f"{_SOURCE}/{self.pack}/{self.name}".encode()).hexdigest()

    def entry(self) -> dict[str, object]:
        """What the list says of it."""
        return {
            "source": _SOURCE,
            "name": self.name,
            "info": {"node_pack": f"custom_nodes.{self.pack}"},
        }


class PackFiles:
    """Looks at the folders anew each time: packs come and go while the server runs."""

    def __init__(self, packs: Callable[[], list[Pack]]) -> None:
        self._packs = packs
        self._translations = Translations()

    def has_packs(self) -> bool:
        """Whether there is any pack."""
        return bool(self._packs())

    def templates(self) -> dict[str, list[str]]:
        """Pack -> names of its templates; packs without any are left out."""
        names = {pack.name: _json_names(_template_files(pack)) for pack in self._packs()}
        return {pack: found for pack, found in names.items() if found}

    def template_file(self, pack_name: str, file_name: str) -> Path | None:
        """A template, or a picture that lies beside it."""
        for pack in self._packs():
            if pack.name == pack_name:
                return _template_files(pack).get(file_name)
        return None

    def subgraphs(self) -> dict[str, Subgraph]:
        """All subgraphs by their ids."""
        found = [
            Subgraph(name=name.removesuffix(".json"), pack=pack.name, file=file)
            for pack in self._packs()
            for name, file in _files(pack.path / _SUBGRAPH_FOLDER).items()
            if name.endswith(".json")
        ]
        return {subgraph.id: subgraph for subgraph in found}

    def translations(self) -> bytes:
        """The texts of all packs, by language, as JSON."""
        return self._translations.merged(_locale_files(self._packs()))


def _template_files(pack: Pack) -> dict[str, Path]:
    """Of two files of one name the one in the first folder counts."""
    files: dict[str, Path] = {}
    for folder in _TEMPLATE_FOLDERS:
        files = _files(pack.path / folder) | files
    return files


def _json_names(names: Iterable[str]) -> list[str]:
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def _locale_files(packs: Iterable[Pack]) -> list[LocaleFile]:
    found = []
    for pack in packs:
        folder = pack.path / _LOCALE_FOLDER
        for language in _folders(folder):
            for part in Translations.PARTS:
                file = LocaleFile.find(language, part, folder / language / f"{part}.json")
                if file is not None:
                    found.append(file)
    return found


def _files(folder: Path) -> dict[str, Path]:
    """Files directly in a folder, by name; hidden ones are none of the clients' business."""
    return {name: folder / name for name in _names(folder, is_file) if name[0] != "."}


def _folders(folder: Path) -> list[str]:
    return _names(folder, is_folder)


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if wanted(entry) and is_text(entry.name))
    except OSError:  # most packs have no such folder
        return []
