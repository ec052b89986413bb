"""Files of node packs for browsers: JavaScript that front ends load, and what it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from server.services import Services

ROOT = "/extensions"


async def web_folders(services: Services) -> Mapping[str, Path]:
    """Name below /extensions -> folder. At a cold start it waits until packs are loaded."""
    definitions = (await services.engine()).definitions
    if not definitions.are_known and await asyncio.to_thread(services.pack_files.has_packs):
        try:
            await definitions.wait(services.settings.startup_wait)
        except TimeoutError:
            return {}
    return definitions.packs.web


def scripts(folders: Mapping[str, Path]) -> list[str]:
    """Paths of all scripts in these folders."""
    return [
        f"{ROOT}/{quote(name)}/{quote(file.relative_to(folder).as_posix())}"
        for name, folder in folders.items()
        for file in sorted(folder.rglob("*.js"))
    ]
