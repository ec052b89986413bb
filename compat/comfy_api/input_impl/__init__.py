"""Classes of values that nodes make, by their older import name."""

from __future__ import annotations

from nodes.video_files import VideoFromComponents, VideoFromFile, VideoFromList

__all__ = ["VideoFromComponents", "VideoFromFile", "VideoFromList"]
