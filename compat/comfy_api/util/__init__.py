"""Descriptions of videos, by their older import name."""

from __future__ import annotations

from nodes.video_files import VideoCodec, VideoComponents, VideoContainer

__all__ = ["VideoCodec", "VideoComponents", "VideoContainer"]
