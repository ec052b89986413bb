"""The settings that clients keep for a user: one JSON object in the user's folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from executor import json_text
from server.errors import BadRequest
from server.json_file import read_json_file, write_json_file

FILE_NAME: Final = "comfy.settings.json"

# Far from what JSON parsers refuse, so that a file that was written can always be read.
_DEEPEST: Final = 100


class UserSettings:
    """Settings of all users. `largest`: bytes that one user's settings may take."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        # Readers take it too: they move a broken file aside, which must not hit a new one.
        self._turn = asyncio.Lock()

    async def read(self, folder: Path) -> dict[str, Any]:
        """All settings of the user whose folder this is."""
        async with self._turn:
            return await asyncio.to_thread(read_json_file, folder / FILE_NAME)

    async def change(self, folder: Path, changes: dict[str, Any]) -> None:
        """Set some settings and keep the others. Raises BadRequest."""
        async with self._turn:
            await asyncio.to_thread(self._change, folder / FILE_NAME, changes)

    def _change(self, file: Path, changes: dict[str, Any]) -> None:
        if json_text.is_deeper(changes, _DEEPEST):
            raise BadRequest(f"a setting may be nested {_DEEPEST - 1} levels deep, not deeper")
        write_json_file(file, read_json_file(file) | changes, largest=self._largest)
