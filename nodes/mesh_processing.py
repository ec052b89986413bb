"""Nodes of later releases that change surfaces: their normals, colours and triangles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.base import Declared, inputs
from nodes.geometry.arrays import Indices, Reals, Step, part_of
from nodes.geometry.closest_points import at_weights
from nodes.geometry.decimation import Placement, decimate
from nodes.geometry.nearest_voxels import nearest_voxels
from nodes.geometry.normals import smooth_normals
from nodes.geometry.quadrics import Weights
from nodes.geometry.remeshing import Kind, Remeshing, remesh
from nodes.schema import DynamicNode, opening
from nodes.shapes import Mesh, Surface, mesh_of, surfaces_of
from nodes.tensors.colors import linear
from nodes.voxel_colors import BASE_COLOR, SparseGrid, grids_of

_PER_VERTEX: Final = ("vertices", "uvs", "normals", "tangents", "colors")


class _MeshNode(DynamicNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_mesh_postprocess"
    CATEGORY = "3d"
    RETURN_TYPES = ("MESH",)
    RETURN_NAMES = ("mesh",)

    def _each(self, mesh: Any, change: Callable[[Surface, int, Step], Surface]) -> tuple[Mesh]:
        """The surfaces changed one by one, with progress over all of them."""
        context = self.context
        surfaces = surfaces_of(mesh)

        def step(share: float) -> None:
            context.report(share, 1.0)

        changed = []
        for index, surface in enumerate(surfaces):
            part = part_of(step, index / len(surfaces), (index + 1) / len(surfaces))
            part(0.0)
            changed.append(change(surface, index, part))
        step(1.0)
        return (mesh_of(changed),)


class MeshSmoothNormals(_MeshNode):
    """Gives surfaces normals that go over smoothly, but for sharp edges."""

    DISPLAY_NAME = "Mesh Smooth Normals"
    REQUIRED = inputs(
        mesh=("MESH",),
        crease_angle=("FLOAT", {"default": 180.0, "min": 0.0, "max": 180.0, "step": 1.0}),
    )

    def run(self, mesh: Any, crease_angle: float = 180.0) -> tuple[Mesh]:
        """Where faces meet by more than the angle, vertices are doubled. Tangents get lost."""
        return self._each(mesh, lambda surface, _index, _step: _shaded(surface, crease_angle))


def _shaded(surface: Surface, crease_angle: float) -> Surface:
    if not len(surface.vertices):
        return replace(surface, normals=torch.zeros(0, 3), tangents=None)
    vertices, faces = geometry_of(surface)
    normals, corners, copied = smooth_normals(vertices, faces, crease_angle)
    copies = _with_vertices(replace(surface, tangents=None), copied)
    return replace(copies, faces=torch.from_numpy(corners), normals=_as_tensor(normals))


class PaintMesh(_MeshNode):
    """Gives vertices the colours of voxels."""

    DISPLAY_NAME = "Paint Mesh"
    REQUIRED = inputs(mesh=("MESH",), voxel_colors=("VOXEL",))

    def run(self, mesh: Any, voxel_colors: Any) -> tuple[Mesh]:
        """The base colour, made linear, of the voxel that is nearest to each vertex."""
        grids = grids_of(voxel_colors, len(surfaces_of(mesh)))
        return self._each(mesh, lambda surface, index, step: _painted(surface, grids[index], step))


def _painted(surface: Surface, grid: SparseGrid, step: Step) -> Surface:
    vertices, _ = geometry_of(surface)
    points = (vertices - np.array(grid.origin)) / grid.voxel_size
    nearest = nearest_voxels(points, grid.coordinates.detach().cpu().long().numpy(), step)
    colors = grid.attributes.detach().cpu().float()[torch.from_numpy(nearest), BASE_COLOR]
    return replace(surface, colors=linear(colors.clamp(0, 1)))


_WEIGHT: Final = {"default": 0.0, "min": 0.0}
_PLACEMENT: Final = opening(
    {"midpoint": inputs(), "qem": inputs()},
    {
        "qem": inputs(
            line_quadric_weight=("FLOAT", _WEIGHT | {"max": 100.0, "step": 0.001}),
            feature_edge_quadric_weight=("FLOAT", _WEIGHT | {"max": 1000.0, "step": 0.01}),
            feature_edge_min_dihedral_deg=(
                "FLOAT",
                {"default": 30.0, "min": 0.0, "max": 180.0, "step": 1.0},
            ),
            clamp_v_to_edge=("BOOLEAN", {"default": True}),
        )
    },
)


class DecimateMesh(_MeshNode):
    """Takes triangles from surfaces, where they are missed least."""

    DISPLAY_NAME = "Decimate Mesh"
    REQUIRED = inputs(
        mesh=("MESH",),
        target_face_count=("INT", {"default": 200000, "min": 0, "max": 50000000}),
        placement_mode=_PLACEMENT,
    )

    def run(
        self,
        mesh: Any,
        target_face_count: int = 200000,
        placement_mode: Mapping[str, Any] = MappingProxyType({"placement_mode": "midpoint"}),
    ) -> tuple[Mesh]:
        """At most so many faces of each surface; 0 leaves them all. Normals get lost."""
        placement = _placement(**placement_mode)
        return self._each(
            mesh,
            lambda surface, _index, step: _decimated(surface, target_face_count, placement, step),
        )


def _placement(
    placement_mode: str,
    line_quadric_weight: float = 0.0,
    feature_edge_quadric_weight: float = 0.0,
    feature_edge_min_dihedral_deg: float = 30.0,
    clamp_v_to_edge: bool = True,
) -> Placement:
    weights = Weights(
        lines=line_quadric_weight,
        features=feature_edge_quadric_weight,
        feature_degrees=feature_edge_min_dihedral_deg,
    )
    return Placement(
        at_middle=placement_mode == "midpoint", on_edge=clamp_v_to_edge, weights=weights
    )


def _decimated(surface: Surface, target: int, placement: Placement, step: Step) -> Surface:
    if not 0 < target < len(surface.faces):
        return surface
    vertices, faces = geometry_of(surface)
    uvs, colors = surface.uvs, surface.colors
    known = [part.detach().cpu().double().numpy() for part in (uvs, colors) if part is not None]
    values = np.concatenate([np.zeros((len(vertices), 0)), *known], axis=1)
    seams = None if uvs is None else values[:, :2]
    places, corners, mixed = decimate(vertices, faces, target, placement, step, values, seams)
    first_color = 0 if uvs is None else 2
    return replace(
        surface,
        vertices=_as_tensor(places),
        faces=torch.from_numpy(corners),
        uvs=None if uvs is None else _as_tensor(mixed[:, :2]),
        colors=None if colors is None else _as_tensor(mixed[:, first_color:]),
        normals=None,
        tangents=None,
    )


_QEF_OFF: Final = ("BOOLEAN", {"default": False})
_SIGNS: Final = opening(
    {"udf": inputs(), "sdf": inputs(), "solid": inputs()},
    {
        "udf": inputs(
            qef=_QEF_OFF, drop_inverted_components=_QEF_OFF, drop_enclosed_components=_QEF_OFF
        ),
        "sdf": inputs(qef=("BOOLEAN", {"default": True}), manifold=_QEF_OFF),
        "solid": inputs(
            fill=("FLOAT", {"default": 20.0, "min": 0.0, "max": 1000.0, "step": 1.0}), qef=_QEF_OFF
        ),
    },
    default="udf",
)
_KINDS: Final[Mapping[str, Kind]] = {"udf": "shell", "sdf": "surface", "solid": "body"}


def _share(default: float, low: float, high: float) -> Declared:
    options = {"default": default, "min": low, "max": high, "step": 0.01, "advanced": True}
    return ("FLOAT", options)


class RemeshMesh(_MeshNode):
    """Makes surfaces anew of even triangles."""

    DISPLAY_NAME = "Remesh Mesh"
    REQUIRED = inputs(
        mesh=("MESH",),
        resolution=("INT", {"default": 512, "min": 32, "max": 2048}),
        sign_mode=_SIGNS,
        band=_share(1.0, 0.5, 4.0),
        project_back=_share(0.0, 0.0, 1.0),
        fix_poles=("BOOLEAN", {"default": False, "advanced": True}),
        smooth_iters=("INT", {"default": 0, "min": 0, "max": 20}),
        drop_small_components=_share(0.01, 0.0, 0.5),
        precluster_max_verts=(
            "INT",
            {"default": 20000000, "min": 0, "max": 100000000, "advanced": True},
        ),
    )

    def run(
        self,
        mesh: Any,
        resolution: int = 512,
        sign_mode: Mapping[str, Any] = MappingProxyType({"sign_mode": "udf"}),
        band: float = 1.0,
        project_back: float = 0.0,
        fix_poles: bool = False,
        smooth_iters: int = 0,
        drop_small_components: float = 0.01,
        precluster_max_verts: int = 20000000,
    ) -> tuple[Mesh]:
        """Dual contours of the distance to each surface. All but places and colours gets lost."""
        mode = sign_mode["sign_mode"]
        how = Remeshing(
            resolution=resolution,
            kind=_KINDS[mode],
            band=band,
            by_planes=sign_mode.get("qef", mode == "sdf"),
            manifold=sign_mode.get("manifold", False),
            gap=sign_mode.get("fill", 20.0),
            drops_inverted=sign_mode.get("drop_inverted_components", False),
            drops_enclosed=sign_mode.get("drop_enclosed_components", False),
            project_back=project_back,
            smoothing=smooth_iters,
            smallest_part=drop_small_components,
            most_vertices=precluster_max_verts,
        )
        return self._each(mesh, lambda surface, _index, step: _remeshed(surface, how, step))


def _remeshed(surface: Surface, how: Remeshing, step: Step) -> Surface:
    found = remesh(*geometry_of(surface), how, step)
    if found is None:
        return Surface(vertices=torch.zeros(0, 3), faces=torch.zeros(0, 3, dtype=torch.long))
    if not len(found.faces):
        raise InvalidInput("nothing is left of a surface: leave more of its parts")
    colors = surface.colors
    if colors is not None:
        held: Reals = colors.detach().cpu().double().numpy()
        colors = _as_tensor(at_weights(held[found.sources], found.weights))
    return Surface(
        vertices=_as_tensor(found.vertices), faces=torch.from_numpy(found.faces), colors=colors
    )


def geometry_of(surface: Surface) -> tuple[Reals, Indices]:
    """Vertices and faces as arrays. Raises InvalidInput where a place is no number."""
    vertices: Reals = surface.vertices.detach().cpu().double().numpy()
    if not np.isfinite(vertices).all():
        raise InvalidInput("a surface has vertices whose places are no finite numbers")
    return vertices, surface.faces.detach().cpu().long().numpy()


def _with_vertices(surface: Surface, copied: Indices) -> Surface:
    """A surface with copies of these vertices, and all that is known of them."""
    numbers = torch.from_numpy(copied)
    known = {name: getattr(surface, name) for name in _PER_VERTEX}
    return replace(surface, **{k: v.cpu()[numbers] for k, v in known.items() if v is not None})


def _as_tensor(values: Reals) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
