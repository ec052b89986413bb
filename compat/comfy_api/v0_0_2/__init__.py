"""Version 0.0.2 of the V3 node API. What it has is part of the newest form."""

from __future__ import annotations

from typing import ClassVar

from comfy_api import latest
from comfy_api.latest import IO, UI, ComfyExtension, Input, InputImpl, Types, io, ui


class ComfyAPI(latest.ComfyAPI):
    """Async calls."""

    VERSION: ClassVar[str] = "0.0.2"
    STABLE: ClassVar[bool] = False


class ComfyAPISync(latest.ComfyAPISync):
    """Sync calls."""

    VERSION: ClassVar[str] = "0.0.2"
    STABLE: ClassVar[bool] = False


__all__ = [
    "IO",
    "UI",
    "ComfyAPI",
    "ComfyAPISync",
    "ComfyExtension",
    "Input",
    "InputImpl",
    "Types",
    "io",
    "ui",
]
