"""The Python types of input values, by their older import name."""

from __future__ import annotations

from comfy_api.latest._values import AudioInput, ImageInput, LatentInput, MaskInput

from nodes.video_files import VideoInput

__all__ = ["AudioInput", "ImageInput", "LatentInput", "MaskInput", "VideoInput"]
