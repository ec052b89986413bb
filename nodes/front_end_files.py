"""Nodes whose files the front end makes and uploads: webcam pictures, views of 3D models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from torch import Tensor

from nodes.base import MAX_RESOLUTION, FileOptions, Node, inputs
from nodes.loading import LoadImage
from nodes.saved_files import save_target, temp_prefix
from nodes.saved_images import save_images
from nodes.schema import SchemaNode
from nodes.shapes import File3D
from nodes.video_files import VideoFromFile

_3D: Final = "comfy_extras.nodes_load_3d"
_SIDE: Final = ("INT", {"default": 1024, "min": 1, "max": 4096, "step": 1})
_OWN_SIZE: Final = ("INT", {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": 1})


class WebcamCapture(Node):
    """Reads a picture that the front end has taken."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_webcam"
    DISPLAY_NAME = "Webcam Capture"
    CATEGORY = "image"
    REQUIRED = inputs(
        image=("WEBCAM", {}),
        width=_OWN_SIZE,
        height=_OWN_SIZE,
        capture_on_queue=("BOOLEAN", {"default": True}),
    )
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def IS_CHANGED(cls, image: str, **_: object) -> str:
        """As of LoadImage."""
        return LoadImage.IS_CHANGED(image)

    def run(self, image: str, width: int, height: int, capture_on_queue: bool) -> tuple[Tensor]:
        """The size and the moment are the front end's concern."""
        return (LoadImage().run(image)[0],)


class Load3D(SchemaNode):
    """Passes on a 3D model with the views of it that the front end has made."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _3D
    DISPLAY_NAME = "Load 3D & Animation"
    CATEGORY = "3d"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model_file=(FileOptions("input_3d"), {"file_upload": True}),
        image=("LOAD_3D",),
        width=_SIDE,
        height=_SIDE,
    )
    RETURN_TYPES = ("IMAGE", "MASK", "STRING", "IMAGE", "LOAD3D_CAMERA", "VIDEO", "FILE_3D")
    RETURN_NAMES = (
        "image",
        "mask",
        "mesh_path",
        "normal",
        "camera_info",
        "recording_video",
        "model_3d",
    )

    def run(
        self, model_file: str, image: Mapping[str, Any], width: int, height: int
    ) -> tuple[Any, ...]:
        """`image` names the uploaded files; without a recording the video is None."""
        picture, mask = LoadImage().run(image["image"])[0], LoadImage().run(image["mask"])[1]
        normal = LoadImage().run(image["normal"])[0]
        recording = image.get("recording")
        video = None
        if recording:
            video = VideoFromFile(self.context.folders.annotated_path(recording))
        model = File3D(self.context.folders.annotated_path(model_file))
        return picture, mask, model_file, normal, image.get("camera_info"), video, model


class Preview3D(SchemaNode):
    """Shows a 3D model."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _3D
    DISPLAY_NAME = "Preview 3D & Animation"
    CATEGORY = "3d"
    EXPERIMENTAL = True
    REQUIRED = inputs(model_file=("STRING", {"default": "", "multiline": False}))
    OPTIONAL = inputs(camera_info=("LOAD3D_CAMERA",), bg_image=("IMAGE",))
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    OUTPUT_NODE = True

    def run(
        self,
        model_file: str,
        camera_info: Any = None,
        bg_image: Tensor | None = None,
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        """`ui.result`: the file, the camera, and the background as a file in the temp folder."""
        background = None
        if bg_image is not None:
            target = save_target(self.context.folders, "temp", temp_prefix())
            (saved,) = save_images(target, bg_image[:1], metadata=None, compress_level=1)
            background = f"temp/{saved['filename']}"
        return {"ui": {"result": [model_file, camera_info, background]}}
