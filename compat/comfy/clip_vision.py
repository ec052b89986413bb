"""Image encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from comfy.not_yet import absent
from darkroom_compat.models import policy
from torch import Tensor

from models.vision import VisionHandle, VisionOutput, clip_pixels, load_vision, vision_of
from models.weights import Weights

ClipVisionModel = VisionHandle
Output = VisionOutput


def load(ckpt_path: str) -> VisionHandle:
    """The image encoder of a file."""
    return load_vision(Path(ckpt_path), policy())


def load_clipvision_from_sd(
    sd: Mapping[str, Tensor], prefix: str = "", convert_keys: bool = False
) -> VisionHandle:
    """The image encoder of a file's tensors; its layout is seen by its names."""
    weights = Weights(path=Path("<state dict>"), tensors=dict(sd))
    return vision_of(weights.below(prefix) if prefix else weights, policy())


def clip_preprocess(image: Tensor, size: int = 224, crop: bool = True) -> Tensor:
    """Pictures [B, H, W, C] as CLIP takes them."""
    return clip_pixels(image, size, crop=crop)


__getattr__ = absent(__name__, functions="convert_to_transformers clip_vision_load image_size")
