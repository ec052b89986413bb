"""Nodes of later releases that work on colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.schema import DynamicNode, SchemaNode, opening
from nodes.tensors.colors import METHODS, histograms, transfer
from nodes.tensors.pictures import in_color


class ColorTransfer(DynamicNode):
    """Gives pictures the colours of others."""

    DISPLAY_NAME = "Color Transfer"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_post_processing"
    CATEGORY = "image/postprocessing"
    REQUIRED = inputs(
        image_target=("IMAGE",),
        image_ref=("IMAGE",),
        method=(METHODS,),
        source_stats=opening(
            {
                "per_frame": inputs(),
                "uniform": inputs(),
                "target_frame": inputs(
                    target_index=("INT", {"default": 0, "min": 0, "max": 10000})
                ),
            }
        ),
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01}),
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)

    def run(
        self,
        image_target: Tensor,
        image_ref: Tensor,
        method: str,
        source_stats: Mapping[str, Any],
        strength: float,
    ) -> tuple[Tensor]:
        """Colours are moved from those of each picture, of all of them, or of one; alpha stays."""
        if strength == 0:
            return (image_target,)
        image_target = in_color(image_target)
        colors, reference = image_target[..., :3], in_color(image_ref)[..., :3].to(image_target)
        statistics = None
        if source_stats["source_stats"] == "uniform":
            statistics = colors
        elif source_stats["source_stats"] == "target_frame":
            index = min(source_stats["target_index"], len(colors) - 1)
            statistics = colors[index : index + 1]
        made = transfer(colors, reference, method, strength, statistics)
        return (torch.cat((made, image_target[..., 3:]), dim=-1),)


class ImageHistogram(SchemaNode):
    """Counts how bright the pixels of a picture are."""

    DISPLAY_NAME = "Image Histogram"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_image_histogram"
    CATEGORY = "image"
    REQUIRED = inputs(image=("IMAGE",))
    RETURN_TYPES = ("HISTOGRAM",) * 5
    RETURN_NAMES = ("rgb", "luminance", "red", "green", "blue")

    def run(self, image: Tensor) -> tuple[list[int], ...]:
        """256 counts each, of the first picture."""
        counts = histograms(in_color(image[0]))
        return tuple(counts[name] for name in self.RETURN_NAMES)
