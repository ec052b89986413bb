"""Surfaces as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nodes.base import inputs
from nodes.gltf import write_glb
from nodes.saved_files import Write, save_files, target_for
from nodes.saved_images import Metadata, metadata_of
from nodes.schema import SchemaNode
from nodes.shapes import Surface, surfaces_of


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
        writers = [_writer(surface, metadata) for surface in surfaces_of(mesh)]
        return {"ui": {"3d": save_files(target_for(context, filename_prefix), writers, "glb")}}


def _writer(surface: Surface, metadata: Metadata) -> Write:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            write_glb(surface, file, metadata)

    return write
