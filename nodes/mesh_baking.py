"""Nodes that bake pictures for the UVs of a surface: of a denser one, or of colours in space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.context import NodeContext
from nodes.schema import SchemaNode
from nodes.shapes import Surface, surfaces_of
from nodes.texturing.dense import DenseSurface
from nodes.texturing.normal_maps import bake_normals
from nodes.texturing.occlusion import bake_occlusion
from nodes.texturing.targets import Picture, Report, tangents_of, target_of
from nodes.texturing.voxel_textures import bake_voxels
from nodes.voxel_colors import BASE_COLOR, METALLIC, ROUGHNESS, grids_of

_MODULE: Final = "comfy_extras.nodes_mesh_postprocess"
_RESOLUTION: Final = ("INT", {"default": 1024, "min": 64, "max": 8192, "step": 64})


class BakeAmbientOcclusion(SchemaNode):
    """Bakes how much of the sky a dense surface hides, for the UVs of a simple one."""

    DISPLAY_NAME = "Bake Ambient Occlusion"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(
        low_poly=("MESH",),
        high_poly=("MESH",),
        resolution=_RESOLUTION,
        samples=("INT", {"default": 64, "min": 4, "max": 1024, "step": 4}),
        max_distance=("FLOAT", {"default": 0.5, "min": 0.01, "max": 2.0, "step": 0.01}),
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0, "step": 0.05}),
        bias=("FLOAT", {"default": 0.01, "min": 0.0001, "max": 0.2, "step": 0.0005}),
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("occlusion",)

    def run(
        self,
        low_poly: Any,
        high_poly: Any,
        resolution: int,
        samples: int,
        max_distance: float,
        strength: float,
        bias: float,
    ) -> tuple[Tensor]:
        """A grey picture for each simple surface: white is open."""
        pictures = [
            bake_occlusion(
                target_of(low, resolution),
                DenseSurface(high),
                samples=samples,
                max_distance=max_distance,
                strength=strength,
                bias=bias,
                report=report,
            )
            for low, high, report in _pairs(self.context, low_poly, high_poly)
        ]
        return (_grey(pictures),)


class BakeNormalMapFromMesh(SchemaNode):
    """Bakes which way a dense surface looks, for the UVs of a simple one."""

    DISPLAY_NAME = "Bake Normal Map From Mesh"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(
        low_poly=("MESH",),
        high_poly=("MESH",),
        resolution=_RESOLUTION,
        cage_distance=("FLOAT", {"default": 0.05, "min": 0.001, "max": 0.5, "step": 0.001}),
        ignore_backfaces=("BOOLEAN", {"default": True}),
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("normal_map",)

    def run(
        self,
        low_poly: Any,
        high_poly: Any,
        resolution: int,
        cage_distance: float,
        ignore_backfaces: bool,
    ) -> tuple[Tensor]:
        """A picture for each simple surface: in the space of its tangents, +Y up."""
        pictures = [
            bake_normals(
                target_of(low, resolution),
                tangents_of(low),
                DenseSurface(high),
                cage_distance=cage_distance,
                fronts_only=ignore_backfaces,
                report=report,
            )
            for low, high, report in _pairs(self.context, low_poly, high_poly)
        ]
        return (torch.stack([torch.from_numpy(picture) for picture in pictures]),)


class BakeTextureFromVoxel(SchemaNode):
    """Bakes colours in space for the UVs of a surface."""

    DISPLAY_NAME = "Bake Texture From Voxel"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(
        mesh=("MESH",),
        voxel_colors=("VOXEL",),
        texture_size=("INT", {"default": 2048, "min": 64, "max": 8192}),
    )
    OPTIONAL = inputs(reference_mesh=("MESH",))
    RETURN_TYPES = ("IMAGE", "IMAGE", "IMAGE")
    RETURN_NAMES = ("base_color", "metallic", "roughness")

    def run(
        self, mesh: Any, voxel_colors: Any, texture_size: int, reference_mesh: Any = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Three pictures for each surface; transparency is left out."""
        surfaces = surfaces_of(mesh)
        grids = grids_of(voxel_colors, len(surfaces))
        pictures = [
            bake_voxels(
                target_of(surface, texture_size),
                grid,
                None if reference_mesh is None else DenseSurface(reference),
                report,
            )
            for (surface, reference, report), grid in zip(
                _pairs(self.context, mesh, mesh if reference_mesh is None else reference_mesh),
                grids,
                strict=True,
            )
        ]
        colors = [torch.from_numpy(picture[..., BASE_COLOR].copy()) for picture in pictures]
        metallic, roughness = (
            _grey([picture[..., channel, None] for picture in pictures])
            for channel in (METALLIC, ROUGHNESS)
        )
        return torch.stack(colors), metallic, roughness


def _pairs(
    context: NodeContext, simple: Any, dense: Any
) -> Iterator[tuple[Surface, Surface, Report]]:
    """Surfaces and their dense ones, of which the last serves for more; and whom to tell."""
    surfaces, details = surfaces_of(simple, least=1), surfaces_of(dense, least=1)
    for index, surface in enumerate(surfaces):

        def report(done: int, total: int, before: int = index) -> None:
            context.report(before + done / max(total, 1), len(surfaces))

        yield surface, details[min(index, len(details) - 1)], report


def _grey(pictures: list[Picture]) -> Tensor:
    """Pictures [H, W, 1] with three channels that are the same, as a batch."""
    return torch.stack([torch.from_numpy(picture).repeat(1, 1, 3) for picture in pictures])
