"""Nodes of later releases that keep 3D models, or show them, and pass on how they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nodes.base import Declared, inputs
from nodes.saved_files import save_files, target_for, temp_prefix
from nodes.schema import SchemaNode
from nodes.shapes import FORMATS, File3D

_MODEL: Final[Declared] = (
    ",".join([*(f"FILE_3D_{name.upper()}" for name in FORMATS[:6]), "FILE_3D"]),
)
_SIDE: Final[Declared] = ("INT", {"default": 1024, "min": 1, "max": 4096})
_VIEW: Final[Declared] = ("LOAD_3D",)
_INFOS: Final[Mapping[str, Declared]] = inputs(
    model_3d_info=("LOAD3D_MODEL_INFO",), camera_info=("LOAD3D_CAMERA",)
)


class _ModelNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_load_3d"
    CATEGORY = "3d"
    OPTIONAL = _INFOS
    RETURN_TYPES: ClassVar[tuple[str, ...]] = (
        "FILE_3D",
        "LOAD3D_MODEL_INFO",
        "LOAD3D_CAMERA",
        "INT",
        "INT",
    )
    RETURN_NAMES: ClassVar[tuple[str, ...]] = (
        "model_3d",
        "model_3d_info",
        "camera_info",
        "width",
        "height",
    )
    OUTPUT_NODE = True

    def _keep(
        self,
        model_3d: File3D,
        prefix: str,
        file_type: str,
        view: Mapping[str, Any] | None,
        infos: tuple[Any, Any],
        size: tuple[int, int],
    ) -> dict[str, Any]:
        """A copy of the file; what is not linked of its looks is what the client has set."""
        file_format, content = model_3d.known_format(), model_3d.content()
        target = target_for(self.context, prefix, file_type)
        entries = save_files(target, [lambda path: path.write_bytes(content)], file_format)
        said = view or {}
        found = [
            said.get(name) if info is None else info
            for name, info in zip(_INFOS, infos, strict=True)
        ]
        return {"ui": {"3d": entries}, "result": (model_3d, *found, *size)}


class Save3DAdvanced(_ModelNode):
    """Copies a 3D model into the output folder."""

    DISPLAY_NAME = "Save 3D (Advanced)"
    REQUIRED = inputs(
        model_3d=_MODEL,
        filename_prefix=("STRING", {"default": "3d/ComfyUI"}),
        viewport_state=_VIEW,
        width=_SIDE,
        height=_SIDE,
    )

    def run(
        self,
        model_3d: File3D,
        filename_prefix: str,
        viewport_state: Mapping[str, Any] | None = None,
        model_3d_info: Any = None,
        camera_info: Any = None,
        width: int = 1024,
        height: int = 1024,
    ) -> dict[str, Any]:
        """`ui.3d` lists the file."""
        infos = (model_3d_info, camera_info)
        size = (width, height)
        return self._keep(model_3d, filename_prefix, "output", viewport_state, infos, size)


class Preview3DAdvanced(_ModelNode):
    """Shows a 3D model."""

    DISPLAY_NAME = "Preview 3D (Advanced)"
    REQUIRED = inputs(model_3d=_MODEL, viewport_state=_VIEW, width=_SIDE, height=_SIDE)

    def run(
        self,
        model_3d: File3D,
        model_3d_info: Any = None,
        viewport_state: Mapping[str, Any] | None = None,
        camera_info: Any = None,
        width: int = 1024,
        height: int = 1024,
    ) -> dict[str, Any]:
        """The file is copied into the temp folder."""
        infos = (model_3d_info, camera_info)
        size = (width, height)
        return self._keep(model_3d, temp_prefix(), "temp", viewport_state, infos, size)
