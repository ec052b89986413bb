"""An older import name."""

from __future__ import annotations

from comfy_api.latest._values import AudioInput, ImageInput, LatentInput, MaskInput

__all__ = ["AudioInput", "ImageInput", "LatentInput", "MaskInput"]
