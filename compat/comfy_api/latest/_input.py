"""Names that some packs import from here."""

from __future__ import annotations

from comfy_api.latest._values import AudioInput, ImageInput, LatentInput, MaskInput
from comfy_api.latest._video import VideoInput

__all__ = ["AudioInput", "ImageInput", "LatentInput", "MaskInput", "VideoInput"]
