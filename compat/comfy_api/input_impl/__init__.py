"""Classes of values that nodes make, by their older import name."""

from __future__ import annotations

from comfy_api.latest._video import VideoFromComponents, VideoFromFile, VideoFromList

__all__ = ["VideoFromComponents", "VideoFromFile", "VideoFromList"]
