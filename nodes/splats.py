"""Nodes that draw Gaussians in space, and write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from nodes.base import inputs
from nodes.gaussians import Gaussians, gaussians_of, rotation_matrices
from nodes.picture_limits import check_size
from nodes.schema import SchemaNode
from nodes.shapes import File3D, Mesh, mesh_of
from nodes.tensors.batches import repeat_to
from nodes.tensors.colors import rgb_of
from nodes.tensors.pictures import in_color, scaled
from nodes.tensors.spherical_harmonics import colors_from
from nodes.tensors.splat_files import WRITERS
from nodes.tensors.splat_rendering import composite, project
from nodes.tensors.splat_surfaces import surface_of
from nodes.tensors.view_cameras import ViewCamera, camera_before, camera_of

_MODULE: Final = "comfy_extras.nodes_gaussian_splat"
_SIDE: Final = ("INT", {"default": 1024, "min": 64, "max": 2048, "step": 8})
_STYLES: Final = ["color", "clay", "depth", "normal"]
_CLAY: Final = 0.75
_SEEN: Final = 0.05  # how opaque a pixel is whose depth counts


class RenderSplat(SchemaNode):
    """Draws Gaussians, also from all sides."""

    DISPLAY_NAME = "Render Splat"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(
        splat=("SPLAT",),
        width=_SIDE,
        height=_SIDE,
        frames=("INT", {"default": 1, "min": -240, "max": 240}),
        splat_scale=("FLOAT", {"default": 1.0, "min": 0.1, "max": 5.0, "step": 0.05}),
        sharpen=("FLOAT", {"default": 2.0, "min": 1.0, "max": 8.0, "step": 0.5}),
        headlight_shading=("FLOAT", {"default": 0.0, "min": 0.0, "max": 3.0, "step": 0.05}),
        opacity_threshold=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}),
        render_style=(_STYLES, {"default": "color"}),
        background=("COLOR", {"default": "#000000"}),
    )
    OPTIONAL = inputs(bg_image=("IMAGE",), camera_info=("LOAD3D_CAMERA",))
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")

    def run(
        self,
        splat: Any,
        width: int,
        height: int,
        frames: int,
        splat_scale: float,
        sharpen: float,
        headlight_shading: float,
        opacity_threshold: float,
        render_style: str,
        background: str,
        bg_image: Tensor | None = None,
        camera_info: Mapping[str, Any] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[F, H, W, 3] and how opaque pixels are. Several frames go round the target once.

        Without a camera, it is one that sees all from the front. Raises InvalidInput for Gaussians,
        colours and cameras that are none, ValueError for pictures that take too much memory.
        """
        context = self.context
        gaussians = _seen(gaussians_of(splat), opacity_threshold).to(context.policy.device)
        if camera_info is None:
            camera = camera_before(gaussians.positions, width / height)
        else:
            camera = camera_of(camera_info)
        count = max(1, abs(frames))
        check_size(context.settings, width, height, count, channels=4)
        turn = math.copysign(2 * math.pi / count, frames)
        values, opaque = [], []
        for i in range(count):
            value, seen = _frame(
                gaussians,
                camera.turned(turn * i),
                (width, height),
                (splat_scale, sharpen),
                render_style,
                headlight_shading,
            )
            values.append(value)
            opaque.append(seen)
            context.report(i + 1, count)
        mask = torch.stack(opaque)
        drawn = _finished(torch.stack(values), mask, render_style)
        behind = _background(background, bg_image, count, width, height)
        return ((drawn + (1 - mask[..., None]) * behind).clamp(0, 1), mask)


def _frame(
    gaussians: Gaussians,
    camera: ViewCamera,
    size: tuple[int, int],
    shape: tuple[float, float],
    style: str,
    shading: float,
) -> tuple[Tensor, Tensor]:
    """What is seen [H, W, 3], times how opaque it is [H, W], on the CPU."""
    ellipses = project(gaussians, camera, *size, *shape)
    visible = gaussians.where(ellipses.numbers)
    place = camera.place.to(visible.positions)
    towards = functional.normalize(place - visible.positions, dim=-1)
    if style == "depth":
        values = ellipses.depths[:, None].expand(-1, 3)
    elif style == "normal":
        seen = _normals(visible, towards) @ camera.axes.to(towards).T
        values = seen * seen.new_tensor([1.0, -1.0, -1.0])
    else:
        values = torch.full_like(towards, _CLAY)
        if style == "color":
            values = colors_from(visible.harmonics, -towards).clamp(0, 1)
        power = shading if style == "color" else shading or 1.0
        if power > 0:
            facing = (_normals(visible, towards) * towards).sum(dim=-1, keepdim=True)
            values = values * facing**power
    picture, opaque = composite(ellipses, values, *size, shape[1])
    return picture.cpu(), opaque.cpu()


def _normals(gaussians: Gaussians, towards: Tensor) -> Tensor:
    """The shortest axes [N, 3], on the side that is looked at."""
    shortest = gaussians.scales.argmin(dim=-1)[:, None, None].expand(-1, 3, 1)
    axes = rotation_matrices(gaussians.rotations).gather(2, shortest)[..., 0]
    return torch.where((axes * towards).sum(dim=-1, keepdim=True) < 0, -axes, axes)


def _finished(values: Tensor, mask: Tensor, style: str) -> Tensor:
    """Colours [F, H, W, 3] of what was composited, times how opaque it is."""
    if style == "normal":
        return (functional.normalize(values, dim=-1) / 2 + 0.5) * mask[..., None]
    if style != "depth":
        return values
    depth = values[..., 0] / mask.clamp(min=1e-6)
    counted = depth[mask > _SEEN]
    if not len(counted):
        return torch.zeros_like(values)
    near, far = counted.min(), counted.max()
    bright = ((far - depth) / (far - near).clamp(min=1e-6)).clamp(0, 1)
    return (bright * mask)[..., None].expand(-1, -1, -1, 3)


def _background(color: str, image: Tensor | None, count: int, width: int, height: int) -> Tensor:
    """[F or 1, H, W, 3]."""
    if image is not None:
        if not len(image):
            raise InvalidInput("the background is an empty batch: there is no picture")
        return repeat_to(scaled(in_color(image)[..., :3].float(), width, height, "bilinear"), count)
    try:
        rgb, _ = rgb_of(str(color))
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    return torch.tensor(rgb).expand(1, height, width, 3)


class SplatToFile3D(SchemaNode):
    """Makes a model file of Gaussians."""

    DISPLAY_NAME = "Splat to File 3D"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(splat=("SPLAT",), format=(list(WRITERS), {"default": "ply"}))
    RETURN_TYPES = ("FILE_3D",)
    RETURN_NAMES = ("model_3d",)

    def run(self, splat: Any, format: str) -> tuple[File3D]:
        """KSPLAT is without compression, SPZ is of version 2."""
        return (File3D(WRITERS[format](gaussians_of(splat)), format),)


class SplatToMesh(SchemaNode):
    """Makes a surface of Gaussians."""

    DISPLAY_NAME = "Splat to Mesh"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(
        splat=("SPLAT",),
        resolution=("INT", {"default": 384, "min": 64, "max": 768, "step": 16}),
        kernel=("INT", {"default": 5, "min": 1, "max": 8}),
        smooth=("INT", {"default": 0, "min": 0, "max": 60}),
        level=("FLOAT", {"default": 0.4, "min": 0.0, "max": 2.0, "step": 0.01}),
        min_component=("INT", {"default": 500, "min": 0, "max": 100000, "step": 50}),
        min_opacity=("FLOAT", {"default": 0.02, "min": 0.0, "max": 1.0, "step": 0.01}),
        color_sharpen=("FLOAT", {"default": 2.0, "min": 1.0, "max": 8.0, "step": 0.5}),
    )
    RETURN_TYPES = ("MESH",)
    RETURN_NAMES = ("mesh",)

    def run(
        self,
        splat: Any,
        resolution: int,
        kernel: int,
        smooth: int,
        level: float,
        min_component: int,
        min_opacity: float,
        color_sharpen: float,
    ) -> tuple[Mesh]:
        """Vertices have colours, which no light changes. Raises InvalidInput for an empty one."""
        gaussians = _seen(gaussians_of(splat), min_opacity).to(torch.device("cpu"))
        surface = surface_of(
            gaussians,
            resolution=resolution,
            kernel=kernel,
            smoothing=smooth,
            level=level,
            least=min_component,
            sharpness=color_sharpen,
            step=self.context.report,
            check=self.context.check_interrupted,
        )
        return (mesh_of([surface]),)


def _seen(gaussians: Gaussians, least: float) -> Gaussians:
    """Those that are opaque enough. Raises InvalidInput where none is."""
    kept = gaussians.opacities >= least
    if not kept.any():
        raise InvalidInput(f"no Gaussian has an opacity of {least:g} or more")
    return gaussians.where(kept)
