"""Surfaces as binary glTF 2.0 (https://registry.khronos.org/glTF/specs/2.0/)."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.errors import InvalidInput
from nodes.saved_images import Metadata, to_picture
from nodes.shapes import Surface

_MAGIC: Final = 0x46546C67  # "glTF"
_JSON: Final = 0x4E4F534A
_BINARY: Final = 0x004E4942
_FLOAT: Final = 5126
_UNSIGNED_INT: Final = 5125
_VERTICES: Final = 34962  # what a piece of the binary part is for
_INDICES: Final = 34963
_TRIANGLES: Final = 4
_LINEAR: Final = 9729
_LINEAR_MIPMAP_LINEAR: Final = 9987
_COMPRESSION: Final = 4  # of pictures: a third of the time of the usual 6, about as small

_UNLIT: Final = "KHR_materials_unlit"

# What a vertex has, by the name that glTF has for it.
_ATTRIBUTES: Final[Mapping[str, str]] = {
    "POSITION": "vertices",
    "NORMAL": "normals",
    "TANGENT": "tangents",
    "TEXCOORD_0": "uvs",
    "COLOR_0": "colors",
}


def write_glb(surface: Surface, file: BinaryIO, metadata: Metadata) -> None:
    """A surface with all that is known of it; metadata becomes `extras`.

    Pictures are left out where the surface has no UVs.
    """
    parts = _Parts()
    attributes = {
        name: parts.add_values(values, bounds=name == "POSITION")
        for name, field in _ATTRIBUTES.items()
        if (values := getattr(surface, field)) is not None
    }
    primitive = {
        "attributes": attributes,
        "indices": parts.add_corners(surface.faces),
        "mode": _TRIANGLES,
    }
    material = _material(surface, parts)
    if surface.unlit is not None and surface.unlit.any():
        material["extensions"] = {_UNLIT: {}}
        parts.description["extensionsUsed"] = [_UNLIT]
    if material:
        primitive["material"] = 0
        parts.description["materials"] = [material]
    description = {
        "asset": {"version": "2.0", "generator": "Darkroom", "extras": dict(metadata)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": parts.length}],
        **parts.description,
    }
    text = json.dumps(description, default=str).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + parts.length
    file.write(struct.pack("<III", _MAGIC, 2, total))
    file.write(struct.pack("<II", len(text), _JSON) + text)
    file.write(struct.pack("<II", parts.length, _BINARY))
    for piece in parts.pieces:
        file.write(piece)


class _Parts:
    """The binary part of a file, and what its description says of it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.length = 0
        self.description: dict[str, list[Any]] = {"bufferViews": [], "accessors": []}

    def add_values(self, values: Tensor, *, bounds: bool) -> int:
        """Values of vertices [N, C]; returns the number of the accessor.

        glTF has no NaN and nothing infinite: these are 0. Raises InvalidInput for such places.
        """
        held = values.detach().cpu().float().contiguous()
        if not held.isfinite().all():
            if bounds:
                raise InvalidInput("a surface has vertices whose places are no finite numbers")
            held = held.nan_to_num(0, 0, 0)
        array = held.numpy().astype("<f4", copy=False)
        accessor = {
            "bufferView": self._add(array.tobytes(), _VERTICES),
            "componentType": _FLOAT,
            "count": len(array),
            "type": f"VEC{array.shape[1]}",
        }
        if bounds:
            some = array if len(array) else np.zeros((1, array.shape[1]), np.float32)
            accessor |= {"min": some.min(axis=0).tolist(), "max": some.max(axis=0).tolist()}
        return self._append("accessors", accessor)

    def add_corners(self, faces: Tensor) -> int:
        """Triangles [M, 3]; returns the number of the accessor."""
        corners: NDArray[Any] = faces.detach().cpu().numpy().astype("<u4")
        accessor = {
            "bufferView": self._add(corners.tobytes(), _INDICES),
            "componentType": _UNSIGNED_INT,
            "count": corners.size,
            "type": "SCALAR",
        }
        return self._append("accessors", accessor)

    def add_texture(self, picture: Tensor) -> dict[str, Any]:
        """A picture [H, W, C] as PNG; returns what a material says of it."""
        encoded = io.BytesIO()
        to_picture(picture).save(encoded, "PNG", compress_level=_COMPRESSION)
        image = {"bufferView": self._add(encoded.getvalue()), "mimeType": "image/png"}
        self.description["samplers"] = [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR}]
        source = self._append("images", image)
        return {"index": self._append("textures", {"sampler": 0, "source": source})}

    def _add(self, piece: bytes, target: int | None = None) -> int:
        """A piece of the binary part; returns the number of its view."""
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": len(piece)}
        if target is not None:
            view["target"] = target
        padding = -len(piece) % 4  # numbers of the next piece begin at multiples of their size
        self.pieces.append(piece + bytes(padding))
        self.length += len(piece) + padding
        return self._append("bufferViews", view)

    def _append(self, kind: str, entry: dict[str, Any]) -> int:
        entries = self.description.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1


def _material(surface: Surface, parts: _Parts) -> dict[str, Any]:
    """How the surface looks; empty where nothing is known of that."""
    pictures = (surface.texture, surface.orm_texture, surface.normal_map)
    textured = surface.uvs is not None and any(picture is not None for picture in pictures)
    if not textured:
        # What nobody says is metal is none: without a material it would be, as glTF has it.
        return {} if surface.colors is None else {"pbrMetallicRoughness": {"metallicFactor": 0}}
    looks: dict[str, Any] = {"metallicFactor": 0}
    material: dict[str, Any] = {"pbrMetallicRoughness": looks}
    if surface.texture is not None:
        looks["baseColorTexture"] = parts.add_texture(surface.texture)
        if surface.texture.shape[-1] == 4 and bool((surface.texture[..., 3] < 1).any()):
            material["alphaMode"] = "BLEND"
    if surface.orm_texture is not None:
        packed = parts.add_texture(surface.orm_texture)
        looks |= {"metallicRoughnessTexture": packed, "metallicFactor": 1, "roughnessFactor": 1}
        material["occlusionTexture"] = packed
    if surface.normal_map is not None:
        material["normalTexture"] = parts.add_texture(surface.normal_map)
    return material
