"""An older import name."""

from __future__ import annotations

from comfy_api.latest._video import VideoCodec, VideoComponents, VideoContainer

__all__ = ["VideoCodec", "VideoComponents", "VideoContainer"]
