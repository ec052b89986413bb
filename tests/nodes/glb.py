"""Reads binary glTF files as the specification has them, to see what was written."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TYPES = {5126: "<f4", 5125: "<u4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True, kw_only=True)
class Glb:
    """What a file with one mesh of one primitive holds."""

    description: dict[str, Any]
    attributes: dict[str, NDArray[np.float32]]  # by glTF's name: [N, C]
    faces: NDArray[np.uint32]  # [M, 3]
    material: dict[str, Any]
    images: list[Image.Image]

    def picture(self, texture: dict[str, Any]) -> NDArray[np.uint8]:
        """The picture of what a material says of a texture: [H, W, C]."""
        source = self.description["textures"][texture["index"]]["source"]
        return np.asarray(self.images[source])


def read_glb(content: bytes) -> Glb:
    """Read a file; asserts what the specification demands of its parts."""
    magic, version, total = struct.unpack_from("<4sII", content)
    assert (magic, version, total) == (b"glTF", 2, len(content))
    length, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    assert length % 4 == 0
    description = json.loads(content[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", content, 20 + length)
    assert kind == b"BIN\0"
    assert size == description["buffers"][0]["byteLength"]
    binary = content[28 + length :]
    assert len(binary) == size

    def piece(index: int) -> bytes:
        view = description["bufferViews"][index]
        start, end = view["byteOffset"], view["byteOffset"] + view["byteLength"]
        assert start % 4 == 0
        assert end <= size
        return binary[start:end]

    def values(index: int) -> NDArray[Any]:
        accessor = description["accessors"][index]
        array = np.frombuffer(piece(accessor["bufferView"]), _TYPES[accessor["componentType"]])
        array = array.reshape(-1, _WIDTHS[accessor["type"]])
        assert len(array) == accessor["count"]
        return array

    (mesh,) = description["meshes"]
    (primitive,) = mesh["primitives"]
    attributes = {name: values(index) for name, index in primitive["attributes"].items()}
    assert len({len(array) for array in attributes.values()}) == 1
    bounds = description["accessors"][primitive["attributes"]["POSITION"]]
    assert np.allclose(attributes["POSITION"].min(axis=0), bounds["min"])
    assert np.allclose(attributes["POSITION"].max(axis=0), bounds["max"])
    faces = values(primitive["indices"]).reshape(-1, 3)
    assert faces.max() < len(attributes["POSITION"])
    for name in {"NORMAL", "TANGENT"} & set(attributes):
        assert np.allclose(np.linalg.norm(attributes[name][:, :3], axis=1), 1, atol=1e-4)
    if "TANGENT" in attributes:
        assert set(np.unique(attributes["TANGENT"][:, 3])) <= {-1.0, 1.0}
    images: list[Image.Image] = [
        Image.open(io.BytesIO(piece(image["bufferView"])), formats=["PNG"])
        for image in description.get("images", [])
    ]
    materials = description.get("materials", [])
    material = materials[primitive["material"]] if "material" in primitive else {}
    return Glb(
        description=description,
        attributes=attributes,
        faces=faces,
        material=material,
        images=images,
    )
