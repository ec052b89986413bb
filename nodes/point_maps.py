"""Nodes that make pictures and surfaces of where pixels lie in space, as MoGe says it.

R. Wang et al., "MoGe: Unlocking accurate monocular geometry estimation for open-domain images with
optimal training supervision", 2024 (arXiv:2410.19115).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.geometry.shapes import PointMaps
from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.shapes import Mesh, mesh_of
from nodes.tensors.color_maps import spectral
from nodes.tensors.point_maps import nearness, normals_of, surface_of

_OUTPUTS: Final = ["depth", "depth_colored", "normal_opengl", "normal_directx", "mask"]


class _PointMapNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_moge"
    CATEGORY: ClassVar[str] = "image/geometry"


class MoGeRender(_PointMapNode):
    """Makes pictures of depth, of normals, or of what is known."""

    DISPLAY_NAME = "MoGe Render"
    REQUIRED = inputs(moge_geometry=("MOGE_GEOMETRY",), output=(_OUTPUTS, {"default": "depth"}))
    RETURN_TYPES = ("IMAGE",)

    def run(self, moge_geometry: PointMaps, output: str) -> tuple[Tensor]:
        """[B, H, W, 3]; near is bright, or red; the normals' z is towards the viewer."""
        if output == "mask":
            return (_as_grey(_given(moge_geometry, "mask").float()),)
        if output.startswith("normal"):
            facing = _normals(moge_geometry) * torch.tensor([0.5, -0.5, -0.5]) + 0.5
            if output == "normal_directx":
                facing[..., 1] = 1 - facing[..., 1]
            return (facing,)
        depth = _given(moge_geometry, "depth")
        known = _known(moge_geometry, depth)
        near = nearness(depth, known)
        if output == "depth":
            return (_as_grey(near),)
        shown = known & depth.isfinite()
        return (torch.where(shown[..., None], spectral(1 - near), 0),)


class MoGeGeometryToFOV(_PointMapNode):
    """Tells what the camera of a picture sees."""

    DISPLAY_NAME = "MoGe Geometry to FOV"
    REQUIRED = inputs(
        moge_geometry=("MOGE_GEOMETRY",),
        axis=(["vertical", "horizontal", "diagonal"], {"default": "vertical"}),
        unit=(["degrees", "radians"], {"default": "degrees"}),
    )
    RETURN_TYPES = ("FLOAT", "FLOAT")
    RETURN_NAMES = ("fov", "focal_pixels")

    def run(self, moge_geometry: PointMaps, axis: str, unit: str) -> tuple[float, float]:
        """The angle between both ends of the first picture, and its focal length in pixels.

        Raises InvalidInput for a geometry without a picture, or without a focal length.
        """
        all_intrinsics = _given(moge_geometry, "intrinsics")
        if not len(all_intrinsics):
            raise InvalidInput("this geometry is of no picture")
        intrinsics = all_intrinsics[0]
        if not (intrinsics.isfinite().all() and intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0):
            raise InvalidInput("the focal length of this geometry is no positive number")
        wide, high = (0.5 / float(intrinsics[i, i]) for i in (0, 1))  # tangents of half an angle
        half = {"vertical": high, "horizontal": wide, "diagonal": math.hypot(wide, high)}[axis]
        angle = 2 * math.atan(half)
        focal = float(intrinsics[1, 1]) * _size(moge_geometry)[0]
        return (math.degrees(angle) if unit == "degrees" else angle), focal


class MoGePointMapToMesh(_PointMapNode):
    """Makes a surface of the pixels of a picture."""

    DISPLAY_NAME = "MoGe Point Map to Mesh"
    REQUIRED = inputs(
        moge_geometry=("MOGE_GEOMETRY",),
        batch_index=("INT", {"default": 0, "min": 0, "max": 4096}),
        decimation=("INT", {"default": 1, "min": 1, "max": 8}),
        discontinuity_threshold=("FLOAT", {"default": 0.04, "min": 0.0, "max": 1.0}),
        texture=("BOOLEAN", {"default": True}),
    )
    RETURN_TYPES = ("MESH",)

    def run(
        self,
        moge_geometry: PointMaps,
        batch_index: int,
        decimation: int,
        discontinuity_threshold: float,
        texture: bool,
    ) -> tuple[Mesh]:
        """Every so many pixels one vertex; the surface is torn where distance jumps.

        Raises InvalidInput for a picture that is not there, and where nothing is left.
        """
        points = _given(moge_geometry, "points")
        if batch_index >= len(points):
            raise InvalidInput(
                f"there is no picture {batch_index}: the geometry is of {len(points)}"
            )
        known = _known(moge_geometry, points[..., 0])
        surface = surface_of(
            points[batch_index],
            known[batch_index],
            stride=decimation,
            jump=discontinuity_threshold,
            around="intrinsics" not in moge_geometry,
        )
        if not len(surface.faces):
            raise InvalidInput(
                "no surface is left: nothing is known, or everything is a jump in depth "
                "(raise discontinuity_threshold)"
            )
        if texture:
            surface = replace(surface, texture=_given(moge_geometry, "image")[batch_index])
        return (mesh_of([surface]),)


def _given(geometry: PointMaps, name: str) -> Tensor:
    """A part of what is known. Raises InvalidInput where it is not."""
    part = geometry.get(name) if isinstance(geometry, Mapping) else None
    if not isinstance(part, Tensor):
        raise InvalidInput(f"this geometry has no {name}: use a model or a node that gives it")
    return part


def _known(geometry: PointMaps, values: Tensor) -> Tensor:
    """Where something is known of values [B, H, W]: everywhere, if nothing is said of that."""
    if "mask" not in geometry:
        return torch.ones_like(values, dtype=torch.bool)
    mask = _given(geometry, "mask")
    if mask.shape != values.shape:
        raise InvalidInput(
            f"the mask of a geometry has the shape {list(mask.shape)}, and what it is of "
            f"{list(values.shape)}"
        )
    return mask.bool()


def _normals(geometry: PointMaps) -> Tensor:
    """Those that the network gave, else those of the points."""
    if isinstance(geometry, Mapping) and "normal" in geometry:
        return _given(geometry, "normal")
    points = _given(geometry, "points")
    known = _known(geometry, points[..., 0])
    return normals_of(points, known)


def _size(geometry: PointMaps) -> tuple[int, int]:
    """Height and width of the pictures."""
    for name in ("depth", "points", "mask", "image"):
        if name in geometry:
            return tuple(_given(geometry, name).shape[1:3])  # type: ignore[return-value]
    raise InvalidInput("this geometry is of no picture")


def _as_grey(values: Tensor) -> Tensor:
    return values[..., None].expand(-1, -1, -1, 3).contiguous()
