"""Nodes that give surfaces an atlas of UVs, show it, and put pictures on it."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.shapes import Mesh, Surface, mesh_of, surfaces_of
from nodes.tensors.pictures import in_color, scaled
from nodes.texturing.charts import connected_charts
from nodes.texturing.targets import (
    as_indices,
    needs_uvs,
    normals_of,
    tangents_of,
)
from nodes.texturing.texels import face_map
from nodes.texturing.unwrapping import unwrap

_MODULE: Final = "comfy_extras.nodes_mesh_postprocess"
_PARALLEL_EDGE_COLLAPSE: Final = "pec"
_GOLDEN: Final = 0.6180339887498949  # of the circle of hues: colours in a row differ much


class UnwrapMesh(SchemaNode):
    """Makes an atlas of UVs: charts of a surface, laid flat and packed."""

    DISPLAY_NAME = "Unwrap Mesh"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(
        mesh=("MESH",),
        segmenter=([_PARALLEL_EDGE_COLLAPSE, "adaptive"], {"default": _PARALLEL_EDGE_COLLAPSE}),
        resolution=("INT", {"default": 1024, "min": 0, "max": 8192, "step": 256}),
        padding=("INT", {"default": 1, "min": 0, "max": 16}),
        weld_distance=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.0001}),
    )
    RETURN_TYPES = ("MESH",)
    RETURN_NAMES = ("mesh",)

    def run(
        self, mesh: Any, segmenter: str, resolution: int, padding: int, weld_distance: float
    ) -> tuple[Mesh]:
        """Vertices on seams are doubled; pictures of other UVs are left out."""
        context = self.context
        surfaces = surfaces_of(mesh)
        unwrapped = []
        for index, surface in enumerate(surfaces):
            context.report(index, len(surfaces))
            unwrapped.append(
                unwrap(
                    surface,
                    cut_first=segmenter == _PARALLEL_EDGE_COLLAPSE,
                    resolution=resolution,
                    padding=padding,
                    weld_distance=weld_distance,
                    check=context.check_interrupted,
                )
            )
        context.report(len(surfaces), len(surfaces))
        return (mesh_of(unwrapped),)


class RenderUVAtlas(SchemaNode):
    """Draws the charts of an atlas."""

    DISPLAY_NAME = "Render UV Atlas"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(
        mesh=("MESH",),
        resolution=("INT", {"default": 1024, "min": 64, "max": 4096, "step": 64}),
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)

    def run(self, mesh: Any, resolution: int) -> tuple[Tensor]:
        """A picture for each surface: each chart in a colour of its own, on black."""
        pictures = []
        for surface in surfaces_of(mesh, least=1):
            self.context.check_interrupted()
            uvs, faces = needs_uvs(surface), as_indices(surface.faces)
            shown = face_map(uvs, faces, resolution)
            charts = connected_charts(faces, len(uvs))
            colors = _chart_colors(int(charts.max(initial=-1)) + 1)
            chart_of = np.append(charts, len(colors) - 1)  # last: of texels with no face
            pictures.append(torch.from_numpy(colors[chart_of[shown]]))
        return (torch.stack(pictures),)


def _chart_colors(count: int) -> Any:
    """Colours of charts [count + 1, 3], and black."""
    bright = [
        colorsys.hsv_to_rgb(i * _GOLDEN % 1, 0.55 + 0.3 * (i % 2), 0.95 - 0.15 * (i % 3))
        for i in range(count)
    ]
    return np.array([*bright, (0.0, 0.0, 0.0)], np.float32)


class ApplyTextureToMesh(SchemaNode):
    """Puts pictures on the UVs of a surface."""

    DISPLAY_NAME = "Apply Texture to Mesh"
    RELATIVE_PYTHON_MODULE = _MODULE
    CATEGORY = "3d"
    REQUIRED = inputs(mesh=("MESH",), base_color=("IMAGE",))
    OPTIONAL = inputs(
        metallic=("IMAGE",), roughness=("IMAGE",), occlusion=("IMAGE",), normal_map=("IMAGE",)
    )
    RETURN_TYPES = ("MESH",)
    RETURN_NAMES = ("mesh",)

    def run(
        self,
        mesh: Any,
        base_color: Tensor,
        metallic: Tensor | None = None,
        roughness: Tensor | None = None,
        occlusion: Tensor | None = None,
        normal_map: Tensor | None = None,
    ) -> tuple[Mesh]:
        """A picture for each surface; of a shorter batch the last is taken again."""
        textured = []
        for index, surface in enumerate(surfaces_of(mesh)):
            needs_uvs(surface)
            channels = (occlusion, roughness, metallic)
            packed = _packed([None if p is None else _of(p, index) for p in channels])
            changed = replace(
                surface,
                texture=in_color(_of(base_color, index)),
                orm_texture=surface.orm_texture if packed is None else packed,
            )
            if normal_map is not None:
                changed = _with_normal_map(changed, _of(normal_map, index))
            textured.append(changed)
        return (mesh_of(textured),)


def _of(pictures: Tensor, index: int) -> Tensor:
    """The picture [H, W, C] for a surface."""
    if not len(pictures):
        raise InvalidInput("a texture is made of one picture at least, and there is none")
    return pictures[min(index, len(pictures) - 1)]


def _packed(channels: list[Tensor | None]) -> Tensor | None:
    """Occlusion, roughness and metallic as one picture, as large as the largest of them.

    What is missing is open (1), rough (1), no metal (0). None without any.
    """
    given = [picture for picture in channels if picture is not None]
    if not given:
        return None
    height = max(picture.shape[0] for picture in given)
    width = max(picture.shape[1] for picture in given)
    packed = torch.tensor([1.0, 1.0, 0.0]).repeat(height, width, 1)
    for channel, picture in enumerate(channels):
        if picture is not None:
            grey = picture[None, ..., :3].mean(dim=-1, keepdim=True).cpu()
            packed[..., channel] = scaled(grey, width, height, "bilinear")[0, ..., 0]
    return packed


def _with_normal_map(surface: Surface, picture: Tensor) -> Surface:
    """The surface with a normal map, and the normals and tangents that it is relative to."""
    normals, tangents = (
        torch.from_numpy(values.astype(np.float32))
        for values in (normals_of(surface), tangents_of(surface))
    )
    return replace(
        surface, normals=normals, tangents=tangents, normal_map=in_color(picture)[..., :3]
    )
