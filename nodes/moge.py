"""Nodes that say where the pixels of pictures lie in space, by the networks MoGe and MoGe-2.

R. Wang et al., "MoGe-2: Accurate monocular geometry with metric scale and sharp details", 2025
(arXiv:2507.02546).
"""

from __future__ import annotations

from typing import ClassVar, Final

from torch import Tensor

from models.geometry.moge_inference import MogeHandle, load_moge, point_maps
from models.geometry.moge_panorama import panorama_maps
from models.geometry.shapes import PointMaps
from nodes.base import FileOptions, inputs
from nodes.schema import SchemaNode

_LEVEL: Final = ("INT", {"default": 9, "min": 0, "max": 9})
_STEPS: Final = ("INT", {"default": 3, "min": 0, "max": 8})


class _MogeNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_moge"
    CATEGORY: ClassVar[str] = "image/geometry"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MOGE_GEOMETRY",)
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("moge_geometry",)


class LoadMoGeModel(_MogeNode):
    """Loads MoGe or MoGe-2."""

    DISPLAY_NAME = "Load MoGe Model"
    CATEGORY = "loaders"
    REQUIRED = inputs(model_name=(FileOptions("geometry_estimation"),))
    RETURN_TYPES = ("MOGE_MODEL",)
    RETURN_NAMES = ()

    def run(self, model_name: str) -> tuple[MogeHandle]:
        """Files with the tensors' names of its authors."""
        path = self.context.folders.full_path("geometry_estimation", model_name)
        return (load_moge(path, self.context.policy),)


class MoGeInference(_MogeNode):
    """Says where the pixels of pictures lie in space."""

    DISPLAY_NAME = "MoGe Inference"
    REQUIRED = inputs(
        moge_model=("MOGE_MODEL",),
        image=("IMAGE",),
        resolution_level=_LEVEL,
        fov_x_degrees=("FLOAT", {"default": 0.0, "min": 0.0, "max": 170.0, "step": 0.1}),
        batch_size=("INT", {"default": 4, "min": 1, "max": 64}),
        force_projection=("BOOLEAN", {"default": True}),
        apply_mask=("BOOLEAN", {"default": True}),
        refine_steps=_STEPS,
    )

    def run(
        self,
        moge_model: MogeHandle,
        image: Tensor,
        resolution_level: int,
        fov_x_degrees: float,
        batch_size: int,
        force_projection: bool,
        apply_mask: bool,
        refine_steps: int,
    ) -> tuple[PointMaps]:
        """An angle of 0 is found. These networks know nothing of steps that refine."""
        maps = point_maps(
            moge_model,
            image,
            level=resolution_level,
            fov_x=fov_x_degrees,
            batch=batch_size,
            is_projected=force_projection,
            is_masked=apply_mask,
            progress=self.context.report,
        )
        return (maps,)


class MoGePanoramaInference(_MogeNode):
    """Says where the pixels of panoramas lie in space."""

    DISPLAY_NAME = "MoGe Panorama Inference"
    REQUIRED = inputs(
        moge_model=("MOGE_MODEL",),
        image=("IMAGE",),
        resolution_level=_LEVEL,
        split_resolution=("INT", {"default": 512, "min": 256, "max": 1024}),
        merge_resolution=("INT", {"default": 1920, "min": 256, "max": 8192}),
        batch_size=("INT", {"default": 4, "min": 1, "max": 12}),
        refine_steps=_STEPS,
    )

    def run(
        self,
        moge_model: MogeHandle,
        image: Tensor,
        resolution_level: int,
        split_resolution: int,
        merge_resolution: int,
        batch_size: int,
        refine_steps: int,
    ) -> tuple[PointMaps]:
        """Of twelve views, merged."""
        maps = panorama_maps(
            moge_model,
            image,
            level=resolution_level,
            view=split_resolution,
            most=merge_resolution,
            batch=batch_size,
            progress=self.context.report,
        )
        return (maps,)
