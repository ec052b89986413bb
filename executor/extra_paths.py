"""Reads `extra_model_paths.yaml`: further model folders, in the form ComfyUI users already have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class ExtraPathsError(Exception):
    """A file of extra model paths cannot be read."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"the extra model paths in '{file}' cannot be used: {reason}")
        self.file = file
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class ExtraPath:
    """One folder to search for models of one kind."""

    kind: str  # as written in the file: it may be an old name such as `unet`
    path: Path  # absolute
    is_default: bool = False  # searched before the standard folders


def read_extra_paths(file: Path) -> list[ExtraPath]:
    """The folders that a YAML file names, in its order; raises ExtraPathsError.

    Each section may have `base_path` (`~` and variables expanded, relative to the file's folder),
    `is_default`, and kinds with one path a line.
    """
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ExtraPathsError(file, str(error)) from error
    if document is None:
        return []
    if not isinstance(document, dict):
        raise ExtraPathsError(file, "it must have named sections at its top level")
    return [
        extra for name, section in document.items() for extra in _read_section(file, name, section)
    ]


def _read_section(file: Path, name: object, section: Any) -> list[ExtraPath]:
    if section is None:
        return []
    if not isinstance(section, dict):
        raise ExtraPathsError(file, f"section '{name}' must hold lines of the form 'kind: folder'")
    entries = dict(section)
    base = _expand(file.parent, str(entries.pop("base_path", None) or "."))
    is_default = bool(entries.pop("is_default", False))
    extras: list[ExtraPath] = []
    for kind, value in entries.items():
        if value is not None and not isinstance(value, str):
            raise ExtraPathsError(file, f"'{name}.{kind}' must be text, one folder a line")
        for line in (value or "").splitlines():
            if line.strip():
                path = _expand(base, line.strip())
                extras.append(ExtraPath(kind=str(kind), path=path, is_default=is_default))
    return extras


def _expand(base: Path, text: str) -> Path:
    expanded = os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111
    return Path(os.path.abspath(base / expanded))  # noqa: PTH100  (links stay as they are named)
