"""Names that some packs import from here."""

from __future__ import annotations

from comfy_api.latest._values import MESH, SPLAT, VOXEL, File3D

from nodes.video_files import VideoCodec, VideoComponents, VideoContainer

__all__ = ["MESH", "SPLAT", "VOXEL", "File3D", "VideoCodec", "VideoComponents", "VideoContainer"]
