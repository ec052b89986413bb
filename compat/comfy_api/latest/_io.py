"""Another name of `comfy_api.latest.io`, which some packs import."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from comfy_api.latest._node import ComfyNode as _ComfyNodeInternal
from comfy_api.latest.io import *  # noqa: F403

__all__ = [*io.__all__, "_ComfyNodeInternal"]


def __getattr__(name: str) -> Any:
    return getattr(io, name)
