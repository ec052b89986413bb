"""Where the web front end, its templates and its help pages lie.

They are packages that others publish: their files are served, their code is never imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.compressed import CompressedFiles

PAGES_PACKAGE: Final = "comfyui_frontend_package"
TEMPLATES_PACKAGE: Final = "comfyui_workflow_templates"
DOCS_PACKAGE: Final = "comfyui_embedded_docs"
COMPRESSED_FOLDER: Final = "compressed"


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """The folders of one front end. Nothing need be there."""

    root: Path | None  # index.html, assets/, extensions/, ...
    templates: tuple[Path, ...]  # searched in this order: later versions are split into packages
    docs: Path | None  # a folder for each node
    compressed: CompressedFiles

    @classmethod
    def find(cls, root: Path | None, search_path: Iterable[str], cache: Path) -> FrontEnd:
        """The front end at `root`, else the installed one; templates and help where installed.

        `cache` is the folder of files that can be made again.
        """
        folders = [Path(entry) for entry in search_path if entry]
        return cls(
            root=root or _first(folders, f"{PAGES_PACKAGE}/static"),
            templates=tuple(_template_folders(folders)),
            docs=_first(folders, f"{DOCS_PACKAGE}/docs"),
            compressed=CompressedFiles(cache / COMPRESSED_FOLDER),
        )

    def scripts(self) -> list[str]:
        """URL paths of the scripts that the front end loads as extensions of itself."""
        if self.root is None:
            return []
        found = sorted((self.root / "extensions").rglob("*.js"))
        return ["/" + file.relative_to(self.root).as_posix() for file in found]


def _first(folders: Iterable[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_dir()), None)


def _template_folders(folders: Iterable[Path]) -> Iterator[Path]:
    """One of each package, the first on the path, as an import would have it."""
    seen: set[str] = set()
    for folder in folders:
        for found in sorted(folder.glob(f"{TEMPLATES_PACKAGE}*/templates")):
            if found.parent.name not in seen and found.is_dir():
                seen.add(found.parent.name)
                yield found
