"""Speaks HTTP and WebSocket. Never imports torch; importing it stays light.

Node packs import `PromptServer` from a module of this name. In a worker, where they live, it is
found in `compat/`, which the node loader has put on the path; the server's process has none.
"""

from __future__ import annotations

import importlib
from typing import Any

_OF_PACKS = {
    "PromptServer": "darkroom_compat.prompt_server",
    "BinaryEventTypes": "protocol",
    "web": "aiohttp.web",
}
# Modules that packs reach through this one, because ComfyUI's imports them.
_REACHED_THROUGH = frozenset(
    (
        "aiohttp", "asyncio", "glob", "json", "logging", "mimetypes", "os", "random", "struct",
        "sys", "time", "traceback", "urllib", "uuid",
    )
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _REACHED_THROUGH:
        return importlib.import_module(name)
    module = _OF_PACKS.get(name)
    if module is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise AttributeError(f"'{name}' exists in worker processes only: {error}") from None
    return found if name == "web" else getattr(found, name)
