"""An older import name."""

from __future__ import annotations

from comfy_api.latest._video import VideoInput

__all__ = ["VideoInput"]
