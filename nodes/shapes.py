"""Things in space on links: surfaces, grids, model files. Packs have them from `comfy_api`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from torch import Tensor


class Mesh:
    """Surfaces of triangles: vertices [B, N, 3], faces [B, M, 3], or lists of [N, 3] and [M, 3]."""

    def __init__(
        self, vertices: Tensor | list[Tensor], faces: Tensor | list[Tensor], **more: Any
    ) -> None:
        self.vertices = vertices
        self.faces = faces
        self.__dict__.update(more)


class Voxel:
    """Grids of densities [B, X, Y, Z]."""

    def __init__(self, data: Tensor, **more: Any) -> None:
        self.data = data
        self.__dict__.update(more)


class File3D:
    """A model file, by path or in memory."""

    def __init__(self, source: Any, file_format: str = "") -> None:
        self.source = source
        self.format = file_format or str(source).rpartition(".")[2].lower()

    def content(self) -> bytes:
        """What the file holds."""
        if isinstance(self.source, bytes):
            return self.source
        if isinstance(self.source, io.IOBase):
            self.source.seek(0)
            held: bytes = self.source.read()
            return held
        return Path(self.source).read_bytes()
