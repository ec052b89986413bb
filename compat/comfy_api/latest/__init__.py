"""`from comfy_api.latest import ComfyExtension, io, ui`: the newest form of the V3 node API."""

from __future__ import annotations

from comfy_api.latest import io, ui
from comfy_api.latest._api import Caching, ComfyAPI, ComfyAPISync, ComfyExtension
from comfy_api.latest._values import Input, InputImpl, Types

IO = io
UI = ui

__all__ = [
    "IO",
    "UI",
    "Caching",
    "ComfyAPI",
    "ComfyAPISync",
    "ComfyExtension",
    "Input",
    "InputImpl",
    "Types",
    "io",
    "ui",
]
