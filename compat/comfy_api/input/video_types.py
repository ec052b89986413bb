"""An older import name."""

from __future__ import annotations

from nodes.video_files import VideoInput

__all__ = ["VideoInput"]
