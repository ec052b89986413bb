"""Nodes that see depth in pictures with Depth Anything 3.

H. Lin et al., "Depth Anything 3: Recovering the visual space from any views", 2025
(arXiv:2511.10647).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from models.geometry.depth_anything_inference import (
    Bound,
    DepthAnythingHandle,
    depth_maps,
    load_depth_anything,
    scene_maps,
)
from models.geometry.reference_views import STRATEGIES
from models.geometry.shapes import DepthMaps
from nodes.base import FileOptions, inputs
from nodes.schema import DynamicNode, SchemaNode, opening

_DTYPES: Final[dict[str, torch.dtype | None]] = {
    "default": None,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
}
_MODULE: Final = "comfy_extras.nodes_depth_anything_3"


class LoadDA3Model(SchemaNode):
    """Loads Depth Anything 3."""

    DISPLAY_NAME = "Load DA3 Model"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "loaders"
    REQUIRED = inputs(model_name=(FileOptions("geometry_estimation"),))
    OPTIONAL = inputs(weight_dtype=(list(_DTYPES), {"default": "default"}))
    RETURN_TYPES = ("DA3_MODEL",)

    def run(self, model_name: str, weight_dtype: str = "default") -> tuple[DepthAnythingHandle]:
        """Files with the tensors' names of its authors."""
        path = self.context.folders.full_path("geometry_estimation", model_name)
        return (load_depth_anything(path, self.context.policy, _DTYPES[weight_dtype]),)


class DA3Inference(DynamicNode):
    """Sees depth in pictures, one by one or as views of one scene."""

    DISPLAY_NAME = "DA3 Inference"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "image/geometry"
    REQUIRED = inputs(
        da3_model=("DA3_MODEL",),
        image=("IMAGE",),
        resolution=("INT", {"default": 504, "min": 140, "max": 2520, "step": 14}),
        resize_method=(["upper_bound_resize", "lower_bound_resize"],),
        mode=opening(
            {
                "mono": inputs(),
                "multiview": inputs(
                    ref_view_strategy=(STRATEGIES,), pose_method=(["cam_dec", "ray_pose"],)
                ),
            }
        ),
    )
    RETURN_TYPES = ("DA3_GEOMETRY",)
    RETURN_NAMES = ("da3_geometry",)

    def run(
        self,
        da3_model: DepthAnythingHandle,
        image: Tensor,
        resolution: int,
        resize_method: Bound,
        mode: Mapping[str, Any],
    ) -> tuple[DepthMaps]:
        """Maps have the sides of the pictures; views of a scene come with cameras."""
        if mode["mode"] == "mono":
            report = self.context.report
            return (
                depth_maps(
                    da3_model, image, resolution=resolution, bound=resize_method, progress=report
                ),
            )
        maps = scene_maps(
            da3_model,
            image,
            resolution=resolution,
            bound=resize_method,
            strategy=mode["ref_view_strategy"],
            method=mode["pose_method"],
        )
        return (maps,)
