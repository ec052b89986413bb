"""Surfaces as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from nodes.base import inputs
from nodes.gltf import write_glb
from nodes.saved_files import Write, save_files, target_for
from nodes.saved_images import Metadata, metadata_of
from nodes.schema import SchemaNode
from nodes.shapes import FORMATS, File3D, Surface, surfaces_of

_MESH: Final = ",".join(
    [
        "MESH",
        *(f"FILE_3D_{name.upper()}" for name in FORMATS),
        "FILE_3D_SPLAT_ANY",
        "FILE_3D_POINT_CLOUD_ANY",
        "FILE_3D",
    ]
)


class SaveGLB(SchemaNode):
    """Writes surfaces as binary glTF files into the output folder, or keeps a model file there."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_hunyuan3d"
    CATEGORY = "3d"
    REQUIRED = inputs(
        mesh=(_MESH,), filename_prefix=("STRING", {"default": "mesh/ComfyUI", "multiline": False})
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
        """One file for each surface of the batch, or the model file; `ui.3d` lists them."""
        context = self.context
        if isinstance(mesh, File3D):
            file_format, content = mesh.known_format(), mesh.content()
            target = target_for(context, filename_prefix)
            saved = save_files(target, [lambda path: path.write_bytes(content)], file_format)
            return {"ui": {"3d": saved}}
        metadata = metadata_of(context.settings, prompt, extra_pnginfo)
        writers = [_writer(surface, metadata) for surface in surfaces_of(mesh)]
        return {"ui": {"3d": save_files(target_for(context, filename_prefix), writers, "glb")}}


def _writer(surface: Surface, metadata: Metadata) -> Write:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            write_glb(surface, file, metadata)

    return write
