"""Fills lists of files into node definitions: fresh from disk, without a worker."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from executor.definitions import NodeDefinition
from executor.file_options import INPUT_FILES, FileOptionLists
from executor.folders import FolderError, Folders
from executor.remote_files import DATA, FetchRefused, RemoteFiles, is_url


class FileOptions:
    """The file lists that inputs offer. Its methods read folders: call them in a thread."""

    def __init__(self, folders: Folders, remote: RemoteFiles | None = None) -> None:
        self._folders = folders
        self._remote = remote or RemoteFiles()
        self._lists = FileOptionLists(folders)

    def names(self, source: str) -> Sequence[str]:
        """Sorted names of a source; empty for an unknown one."""
        try:
            return self._lists.names(source)
        except FolderError:
            return []

    def has_file(self, source: str, value: object) -> bool:
        """Whether an input may name this file although it is not listed.

        Those of the input folder may: in subfolders, and as `name [output]`, `name [temp]` or
        `name [input]`.
        """
        if source not in INPUT_FILES or not isinstance(value, str):
            return False
        if is_url(value):
            return self.url_problem(source, value) is None
        try:
            return self._folders.annotated_path(value).is_file()
        except (FolderError, OSError):
            return False

    def url_problem(self, source: str, value: object) -> str | None:
        """What is wrong with an input that names a file by URL; None for other names."""
        files = INPUT_FILES.get(source)
        if files is None or not isinstance(value, str) or not is_url(value):
            return None
        if not files.kinds:
            return f"a {files.word} file cannot be given as a URL"
        if value.startswith(DATA):
            return (
                None
                if value[len(DATA) :].lower().startswith(files.kinds)
                else (f"the data URL must begin with {DATA}{f' or {DATA}'.join(files.kinds)}")
            )
        try:
            self._remote.check(value)
        except FetchRefused as problem:
            return str(problem)
        return None

    def fill(self, definition: NodeDefinition) -> dict[str, Any]:
        """The definition's /object_info entry with its file lists filled in (a copy)."""
        info = dict(definition.info)
        info["input"] = {
            section: {
                name: self._filled(
                    declared,
                    definition.file_options.get(name),
                    definition.choices_before_files.get(name, 0),
                )
                for name, declared in inputs.items()
            }
            for section, inputs in info["input"].items()
        }
        return info

    def snapshot(self, sources: Collection[str]) -> Mapping[str, Sequence[str]]:
        """`names` of several sources."""
        return {source: self.names(source) for source in sources}

    def _filled(self, declared: Any, source: str | None, before: int) -> Any:
        """An input's declaration with the files among what it lists itself."""
        if source is None:
            return declared
        kind, *options = declared
        if kind == "COMBO":
            own = options[0]["options"]
            names = [*own[:before], *self.names(source), *own[before:]]
            return [kind, {**options[0], "options": names}]
        own = kind if isinstance(kind, list) else []
        return [[*own[:before], *self.names(source), *own[before:]], *options]
