"""Nodes that make pictures to look at of what models predict of a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.schema import SchemaNode


class MarigoldV2PostProcess(SchemaNode):
    """Makes a picture of a depth, of normals, or of the colour of surfaces."""

    DISPLAY_NAME = "Marigold V2 Post Process"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_marigold"
    CATEGORY = "image"
    REQUIRED = inputs(image=("IMAGE",), prediction=(["depth", "normals", "albedo"],))
    RETURN_TYPES = ("IMAGE",)

    def run(self, image: Tensor, prediction: str) -> tuple[Tensor]:
        """What is near is bright; normals have a length of 1; surfaces are in sRGB."""
        colors = image[..., :3]
        if prediction == "depth":
            return (_near_as_bright(colors),)
        if prediction == "normals":
            directions = torch.nn.functional.normalize(colors * 2 - 1, dim=-1)
            return ((directions + 1) / 2,)
        return (_as_srgb(colors.clamp(0, 1)),)


def _near_as_bright(colors: Tensor) -> Tensor:
    """Distances [B, H, W, 3] as grey, from 1 for the nearest of each picture to 0."""
    depth = colors.mean(dim=-1, keepdim=True)
    nearest, farthest = (
        extreme(depth, dim=(1, 2, 3), keepdim=True) for extreme in (torch.amin, torch.amax)
    )
    return ((farthest - depth) / (farthest - nearest).clamp(min=1e-8)).expand(-1, -1, -1, 3)


def _as_srgb(linear: Tensor) -> Tensor:
    """IEC 61966-2-1."""
    return torch.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-8) ** (1 / 2.4) - 0.055
    )
