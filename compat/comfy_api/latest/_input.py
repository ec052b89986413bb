"""Names that some packs import from here."""

from __future__ import annotations

from comfy_api.latest._values import AudioInput, ImageInput, LatentInput, MaskInput

from nodes.video_files import VideoInput

__all__ = ["AudioInput", "ImageInput", "LatentInput", "MaskInput", "VideoInput"]
