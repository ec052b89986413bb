"""Names that some packs import from here."""

from __future__ import annotations

from nodes.video_files import VideoFromComponents, VideoFromFile, VideoFromList

__all__ = ["VideoFromComponents", "VideoFromFile", "VideoFromList"]
