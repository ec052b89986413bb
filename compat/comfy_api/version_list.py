"""The versions of the API that packs may ask for, newest first."""

from __future__ import annotations

from typing import Any, Final

from comfy_api import latest, v0_0_1, v0_0_2

supported_versions: Final[list[type[Any]]] = [
    latest.ComfyAPI,
    v0_0_2.ComfyAPI,
    v0_0_1.ComfyAPI,
]
