"""Texts of node packs in other languages, merged over all packs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from executor import json_text

log = logging.getLogger(__name__)

_MAIN: Final = "main"  # its content stands at the top, that of other parts under their names
_DEEPEST: Final = 100  # texts are not; merging goes down by recursion


@dataclass(frozen=True, kw_only=True)
class LocaleFile:
    """A file of texts, and what tells whether it has changed."""

    language: str
    part: str
    file: Path
    state: tuple[int, int, int]

    @classmethod
    def find(cls, language: str, part: str, file: Path) -> LocaleFile | None:
        """The file, if it is there."""
        try:
            status = file.stat()
        except OSError:
            return None
        state = (status.st_ino, status.st_size, status.st_mtime_ns)
        return cls(language=language, part=part, file=file, state=state)


class Translations:
    """Keeps the merged texts for as long as no file changes."""

    PARTS: ClassVar = (_MAIN, "nodeDefs", "commands", "settings")

    def __init__(self) -> None:
        self._known: tuple[Sequence[LocaleFile], bytes] | None = None

    def merged(self, files: Sequence[LocaleFile]) -> bytes:
        """JSON: language -> texts. Broken files are skipped and logged."""
        known = self._known
        if known is not None and known[0] == files:
            return known[1]
        texts: dict[str, Any] = {}
        for file in files:
            _add(texts, file)
        encoded = msgspec.json.encode(texts)
        self._known = (files, encoded)
        return encoded


def merge(texts: dict[str, Any], more: dict[str, Any]) -> None:
    """Put `more` into `texts`: objects merge, lists join; of other values the later wins."""
    for key, value in more.items():
        known = texts.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            texts[key] = known + value
        else:
            texts[key] = value


def _add(texts: dict[str, Any], file: LocaleFile) -> None:
    try:
        content = msgspec.json.decode(file.file.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        if json_text.is_deeper(content, _DEEPEST):
            raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    except (OSError, ValueError, RecursionError) as error:
        log.warning("the translations in %s are skipped: %s", file.file, error)
        return
    merge(texts, {file.language: content if file.part == _MAIN else {file.part: content}})
