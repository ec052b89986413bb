"""An older import name."""

from __future__ import annotations

from nodes.video_files import VideoFromComponents, VideoFromFile
from nodes.video_joining import VideoFromList

__all__ = ["VideoFromComponents", "VideoFromFile", "VideoFromList"]
