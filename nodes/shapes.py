"""Things in space on links: surfaces, grids, model files. Packs have them from `comfy_api`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput


class Mesh:
    """Surfaces of triangles: vertices [B, N, 3], faces [B, M, 3], or lists of [N, 3] and [M, 3].

    What else is known of them is an attribute by the name of a field of `Surface`, with a batch
    axis or as a list in the same way, or None; pictures of a shorter batch are repeated.
    """

    def __init__(
        self, vertices: Tensor | list[Tensor], faces: Tensor | list[Tensor], **more: Any
    ) -> None:
        self.vertices = vertices
        self.faces = faces
        self.__dict__.update(more)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """One surface of a mesh, y up, triangles counterclockwise seen from outside (as in glTF)."""

    vertices: Tensor  # [N, 3]
    faces: Tensor  # [M, 3] integers, which name vertices
    uvs: Tensor | None = None  # [N, 2] places in pictures: 0, 0 is their upper left corner
    normals: Tensor | None = None  # [N, 3] of length one
    tangents: Tensor | None = None  # [N, 4] along u, length one; last the sign of the bitangent
    colors: Tensor | None = None  # [N, 3 or 4] in 0..1, linear
    texture: Tensor | None = None  # [H, W, 3 or 4] base colour, sRGB
    orm_texture: Tensor | None = None  # [H, W, 3] occlusion, roughness, metallic
    normal_map: Tensor | None = None  # [H, W, 3] in the space of tangents, +Y up
    unlit: Tensor | None = None  # [1] bool: whether colours are shown as they are, without light


_PER_VERTEX = {"uvs": (2,), "normals": (3,), "tangents": (4,), "colors": (3, 4)}
_PICTURES = ("texture", "orm_texture", "normal_map")
_OF_WHOLES = (*_PICTURES, "unlit")


def surfaces_of(mesh: Any, *, least: int = 0) -> list[Surface]:
    """The surfaces of a mesh one by one.

    Raises InvalidInput for what is no mesh, where parts do not fit together, and for fewer surfaces
    than the least.
    """
    found = list(_surfaces(mesh))
    if len(found) < least:
        raise InvalidInput("the mesh is an empty batch: there is no surface")
    return found


def _surfaces(mesh: Any) -> Iterator[Surface]:
    all_vertices, all_faces = _parts(mesh, "vertices"), _parts(mesh, "faces")
    if all_vertices is None or all_faces is None:
        raise InvalidInput(f"a mesh has vertices and faces, and {type(mesh).__name__} is none")
    if len(all_vertices) != len(all_faces):
        raise InvalidInput(
            f"a mesh has {len(all_vertices)} sets of vertices and {len(all_faces)} of faces"
        )
    known_of = {name: _parts(mesh, name) for name in (*_PER_VERTEX, *_OF_WHOLES)}
    for index, (vertices, faces) in enumerate(zip(all_vertices, all_faces, strict=True)):
        if vertices.shape[1:] != (3,) or faces.shape[1:] != (3,):
            raise InvalidInput(
                "a surface has vertices [N, 3] and faces [M, 3], not "
                f"{list(vertices.shape)} and {list(faces.shape)}"
            )
        if faces.numel() and not 0 <= int(faces.min()) <= int(faces.max()) < len(vertices):
            raise InvalidInput(f"surface {index} of a mesh has faces with vertices it has not")
        known: dict[str, Tensor] = {}
        for name, values in known_of.items():
            if values is None or (name in _OF_WHOLES and not len(values)):
                continue
            known[name] = (
                values[min(index, len(values) - 1)]
                if name in _OF_WHOLES
                else _of_vertices(values, index, name, len(vertices))
            )
            if name in _PICTURES and (
                known[name].ndim != 3 or known[name].shape[2] not in (1, 3, 4)
            ):
                raise InvalidInput(
                    f"the {name} of a surface is a picture, not of the shape "
                    f"{list(known[name].shape)}"
                )
        yield Surface(vertices=vertices, faces=faces, **known)


def _parts(mesh: Any, name: str) -> Tensor | Sequence[Tensor] | None:
    """A tensor for each surface, or None. Raises InvalidInput for what is anything else."""
    values = getattr(mesh, name, None)
    if values is None:
        return None
    if isinstance(values, Tensor):
        is_batch = values.ndim > 0
    else:
        is_batch = isinstance(values, Sequence) and all(isinstance(v, Tensor) for v in values)
    if not is_batch:
        raise InvalidInput(f"the {name} of a mesh are tensors, not {type(values).__name__}")
    found: Tensor | Sequence[Tensor] = values
    return found


def _of_vertices(values: Tensor | Sequence[Tensor], index: int, name: str, count: int) -> Tensor:
    found = values[index] if index < len(values) else torch.empty(0)
    if found.shape not in {(count, width) for width in _PER_VERTEX[name]}:
        raise InvalidInput(
            f"surface {index} of a mesh has {count} vertices, and {name} "
            f"of shape {list(found.shape)}"
        )
    return found


def mesh_of(surfaces: Sequence[Surface]) -> Mesh:
    """A mesh of surfaces: tensors where all are of one size, else lists.

    What only some of them have is left out.
    """
    parts: dict[str, Any] = {}
    for field in fields(Surface):
        values = [getattr(surface, field.name) for surface in surfaces]
        if all(value is not None for value in values):
            parts[field.name] = batch_of(values)
    return Mesh(**parts)


def batch_of(parts: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """One tensor of parts of one size, else a list."""
    if len({part.shape for part in parts}) != 1:
        return list(parts)
    return parts[0][None] if len(parts) == 1 else torch.stack(list(parts))


class Voxel:
    """Grids of densities [B, X, Y, Z]."""

    def __init__(self, data: Tensor, **more: Any) -> None:
        self.data = data
        self.__dict__.update(more)


FORMATS: Final = ("glb", "gltf", "fbx", "obj", "stl", "usdz", "ply", "splat", "spz", "ksplat")


class File3D:
    """A model file, by path or in memory."""

    def __init__(self, source: Any, file_format: str = "") -> None:
        self.source = source
        self.format = file_format or str(source).rpartition(".")[2].lower()

    def known_format(self) -> str:
        """The format. Raises InvalidInput for one that is none of 3D models'."""
        if self.format not in FORMATS:
            known = ", ".join(FORMATS)
            raise InvalidInput(f"models are kept as {known}, not as '{self.format[:20]}'")
        return self.format

    def content(self) -> bytes:
        """What the file holds."""
        if isinstance(self.source, bytes):
            return self.source
        if isinstance(self.source, io.IOBase):
            self.source.seek(0)
            held: bytes = self.source.read()
            return held
        return Path(self.source).read_bytes()
