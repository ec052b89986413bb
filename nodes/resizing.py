"""ResizeImageMaskNode: one node for all ways to say how large a picture or a mask is to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from nodes.base import MAX_RESOLUTION, Declared, inputs
from nodes.schema import DynamicNode, opening
from nodes.tensors.masks import as_batch
from nodes.tensors.pictures import METHODS, scaled

_CROP: Final[Declared] = (["disabled", "center"], {"default": "center"})
_SIDE: Final[Declared] = ("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 1})


def _multiple(default: int) -> Declared:
    return ("INT", {"default": default, "min": 1, "max": MAX_RESOLUTION, "step": 1})


class ResizeImageMaskNode(DynamicNode):
    """Resizes pictures or masks."""

    DISPLAY_NAME = "Resize Image/Mask"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_post_processing"
    CATEGORY = "transform"
    REQUIRED = inputs(
        input=(
            "COMFY_MATCHTYPE_V3",
            {"template": {"template_id": "input_type", "allowed_types": "IMAGE,MASK"}},
        ),
        resize_type=opening(
            {
                "scale by multiplier": inputs(
                    multiplier=("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01})
                ),
                "scale dimensions": inputs(width=_SIDE, height=_SIDE, crop=_CROP),
                "scale longer dimension": inputs(longer_size=_SIDE),
                "scale shorter dimension": inputs(shorter_size=_SIDE),
                "scale width": inputs(width=_SIDE),
                "scale height": inputs(height=_SIDE),
                "scale total pixels": inputs(
                    megapixels=("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}),
                    multiple=_multiple(1),
                ),
                "match size": inputs(match=("IMAGE,MASK",), crop=_CROP),
                "scale to multiple": inputs(multiple=_multiple(8)),
            }
        ),
        scale_method=(METHODS, {"default": "area"}),
    )
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    RETURN_NAMES = ("resized",)
    MATCHED_OUTPUTS = ("input_type",)

    def run(
        self, input: Tensor, resize_type: Mapping[str, Any], scale_method: str
    ) -> tuple[Tensor]:
        """A mask comes out as a mask; Lanczos is for pictures only."""
        image = input if input.ndim == 4 else as_batch(input)[..., None]
        width, height = target(image.shape[2], image.shape[1], resize_type)
        crops = resize_type.get("crop", "disabled") == "center"
        crops |= resize_type["resize_type"] == "scale to multiple"
        resized = scaled(image, width, height, scale_method, crop=crops)
        return (resized if input.ndim == 4 else resized[..., 0],)


def target(width: int, height: int, resize: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height that a choice with its values asks for, of what is that large now."""
    match resize["resize_type"]:
        case "scale by multiplier":
            return _times(width, height, resize["multiplier"])
        case "scale dimensions":
            return _dimensions(width, height, resize["width"], resize["height"])
        case "scale longer dimension":
            return _times(width, height, resize["longer_size"] / max(width, height))
        case "scale shorter dimension":
            return _times(width, height, resize["shorter_size"] / min(width, height))
        case "scale width":
            return _dimensions(width, height, resize["width"], 0)
        case "scale height":
            return _dimensions(width, height, 0, resize["height"])
        case "scale total pixels":
            multiple = resize.get("multiple", 1)
            pixels = resize["megapixels"] * 1024 * 1024
            scaled_to = _times(width, height, math.sqrt(pixels / (width * height)) / multiple)
            return scaled_to[0] * multiple, scaled_to[1] * multiple
        case "match size":
            match = resize["match"]
            return match.shape[2], match.shape[1]
        case "scale to multiple":
            multiple = resize["multiple"]
            return _cut_to(width, multiple), _cut_to(height, multiple)
    raise ValueError(f"there is no resize_type {resize['resize_type']!r}")


def _times(width: int, height: int, factor: float) -> tuple[int, int]:
    return round(width * factor), round(height * factor)


def _dimensions(width: int, height: int, new_width: int, new_height: int) -> tuple[int, int]:
    """0 keeps the ratio, two zeros the size."""
    if new_width == 0 and new_height == 0:
        return width, height
    if new_width == 0:
        return round(width * new_height / height), new_height
    if new_height == 0:
        return new_width, round(height * new_width / width)
    return new_width, new_height


def _cut_to(side: int, multiple: int) -> int:
    """The next smaller one, but one at least."""
    return max(1, side // multiple) * multiple
