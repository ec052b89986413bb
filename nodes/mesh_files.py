"""Surfaces as files: binary glTF 2.0 (https://registry.khronos.org/glTF/specs/2.0/)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

import numpy as np
from torch import Tensor

from nodes.base import inputs
from nodes.saved_files import Write, save_files, target_for
from nodes.saved_images import Metadata, metadata_of
from nodes.schema import SchemaNode

_MAGIC: Final = 0x46546C67  # "glTF"
_JSON: Final = 0x4E4F534A
_BINARY: Final = 0x004E4942
_FLOAT: Final = 5126
_UNSIGNED_INT: Final = 5125
_VERTICES: Final = 34962  # what a piece of the binary part is for
_INDICES: Final = 34963


def write_glb(vertices: Tensor, faces: Tensor, file: BinaryIO, metadata: Metadata) -> None:
    """A surface: vertices [N, 3], faces [M, 3] that name vertices; metadata becomes `extras`."""
    points = vertices.detach().cpu().float().contiguous().numpy()
    corners = faces.detach().cpu().numpy().astype("<u4")
    pieces = [points.astype("<f4").tobytes(), corners.tobytes()]  # both are multiples of 4 bytes
    description = {
        "asset": {"version": "2.0", "generator": "Darkroom", "extras": dict(metadata)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "mode": 4}]}],
        "buffers": [{"byteLength": sum(map(len, pieces))}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": len(pieces[0]), "target": _VERTICES},
            {
                "buffer": 0,
                "byteOffset": len(pieces[0]),
                "byteLength": len(pieces[1]),
                "target": _INDICES,
            },
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": _FLOAT,
                "count": len(points),
                "type": "VEC3",
                "min": _bounds(points.min(axis=0)) if len(points) else [0, 0, 0],
                "max": _bounds(points.max(axis=0)) if len(points) else [0, 0, 0],
            },
            {
                "bufferView": 1,
                "componentType": _UNSIGNED_INT,
                "count": corners.size,
                "type": "SCALAR",
            },
        ],
    }
    text = json.dumps(description, default=str).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(pieces)
    total = 12 + 8 + len(text) + 8 + len(binary)
    file.write(struct.pack("<III", _MAGIC, 2, total))
    file.write(struct.pack("<II", len(text), _JSON) + text)
    file.write(struct.pack("<II", len(binary), _BINARY) + binary)


def _bounds(values: np.ndarray[Any, np.dtype[np.float32]]) -> list[float]:
    return [float(value) for value in values]


class SaveGLB(SchemaNode):
    """Writes surfaces as binary glTF files into the output folder."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_hunyuan3d"
    CATEGORY = "3d"
    REQUIRED = inputs(
        mesh=("MESH",), filename_prefix=("STRING", {"default": "mesh/ComfyUI", "multiline": False})
    )
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def run(
        self,
        mesh: Any,
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One file for each surface of the batch; `ui.3d` lists them."""
        context = self.context
        metadata = metadata_of(context.settings, prompt, extra_pnginfo)
        surfaces = zip(mesh.vertices, mesh.faces, strict=True)
        writers = [_writer(vertices, faces, metadata) for vertices, faces in surfaces]
        return {"ui": {"3d": save_files(target_for(context, filename_prefix), writers, "glb")}}


def _writer(vertices: Tensor, faces: Tensor, metadata: Metadata) -> Write:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            write_glb(vertices, faces, file, metadata)

    return write
