"""Nodes that make surfaces of grids, and tell of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from torch import Tensor

from models.errors import InvalidInput
from nodes.base import inputs
from nodes.gltf import write_glb
from nodes.schema import SchemaNode
from nodes.shapes import File3D, Mesh, Voxel, batch_of, surfaces_of
from nodes.tensors.surfaces import Surface, blocks, surface_net

_HUNYUAN: Final = "comfy_extras.nodes_hunyuan3d"
_THRESHOLD: Final = ("FLOAT", {"default": 0.6, "min": -1.0, "max": 1.0, "step": 0.01})
_ALGORITHMS: Final[Mapping[str, Callable[[Tensor, float], Surface]]] = {
    "surface net": surface_net,
    "basic": blocks,
}


class VoxelToMesh(SchemaNode):
    """Makes the surface of a grid of densities."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _HUNYUAN
    CATEGORY = "3d"
    REQUIRED = inputs(voxel=("VOXEL", {}), algorithm=(list(_ALGORITHMS),), threshold=_THRESHOLD)
    RETURN_TYPES = ("MESH",)

    def run(self, voxel: Voxel, algorithm: str, threshold: float) -> tuple[Mesh]:
        """Smooth, or the sides of cubes. Raises InvalidInput where no density is above it."""
        if not isinstance(voxel.data, Tensor) or voxel.data.ndim != 4:
            raise InvalidInput("surfaces are made of densities, and these voxels have none")
        surfaces = [_ALGORITHMS[algorithm](grid, threshold) for grid in voxel.data]
        if any(not len(vertices) for vertices, _ in surfaces):
            raise InvalidInput(
                f"nothing of the grid is denser than {threshold:g}: there is no surface"
            )
        return (Mesh(batch_of([v for v, _ in surfaces]), batch_of([f for _, f in surfaces])),)


class VoxelToMeshBasic(SchemaNode):
    """Makes a surface of cubes of a grid of densities."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _HUNYUAN
    CATEGORY = "3d"
    REQUIRED = inputs(voxel=("VOXEL", {}), threshold=_THRESHOLD)
    RETURN_TYPES = ("MESH",)

    def run(self, voxel: Voxel, threshold: float) -> tuple[Mesh]:
        """As VoxelToMesh."""
        return VoxelToMesh().run(voxel, "basic", threshold)


class GetMeshInfo(SchemaNode):
    """Tells how large surfaces are."""

    DISPLAY_NAME = "Get Mesh Info"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_mesh_postprocess"
    CATEGORY = "3d"
    REQUIRED = inputs(mesh=("MESH",))
    RETURN_TYPES = ("MESH", "STRING")
    RETURN_NAMES = ("mesh", "info")

    def run(self, mesh: Any) -> dict[str, Any]:
        """A line for each surface, and one for what else the mesh has."""
        lines = [f"{len(s.vertices):,} vertices, {len(s.faces):,} faces" for s in surfaces_of(mesh)]
        known = {"vertices", "faces"}
        more = sorted(k for k, v in vars(mesh).items() if k not in known and v is not None)
        if more:
            lines.append(f"with {', '.join(more)}")
        text = "\n".join(lines)
        return {"ui": {"text": (text,)}, "result": (mesh, text)}


class MeshToFile3D(SchemaNode):
    """Makes a model file of a surface."""

    DISPLAY_NAME = "Mesh to File 3D"
    CATEGORY = "3d"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_mesh"
    REQUIRED = inputs(mesh=("MESH",))
    RETURN_TYPES = ("FILE_3D_GLB",)
    RETURN_NAMES = ("model_3d",)

    def run(self, mesh: Any) -> tuple[File3D]:
        """Binary glTF of the first surface of the batch, with all that is known of it.

        Raises InvalidInput for an empty batch.
        """
        file = io.BytesIO()
        write_glb(surfaces_of(mesh, least=1)[0], file, {})
        return (File3D(file.getvalue(), "glb"),)
