"""The output nodes for images."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from nodes.base import Node, inputs
from nodes.context import ReadyPicture
from nodes.saved_files import save_target, temp_prefix
from nodes.saved_images import metadata_of, png_text, save_images, to_picture

# The graph of a run goes into all its files: its text is made once. Kept with the objects it was
# made from, so that the comparison by identity is safe.
_last_text: list[tuple[Any, Any, PngInfo]] = []


class SaveImage(Node):
    """Writes images into the output folder."""

    DISPLAY_NAME = "Save Image"
    CATEGORY = "image"
    REQUIRED = inputs(
        images=("IMAGE", {}),
        filename_prefix=("STRING", {"default": "ComfyUI"}),
    )
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("images",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    # Packs that derive from this class set these on their objects.
    type: str = "output"
    output_dir: str | None = None  # None: the folder of `type`
    prefix_append: str = ""
    compress_level: int = 4  # of zlib

    def run(
        self,
        images: Tensor,
        filename_prefix: str = "ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`ui.images` lists the files; the workflow goes into them unless that is off."""
        context = self.context
        filename_prefix += self.prefix_append
        if context.settings.date_folder is not None and self.type == "output":
            filename_prefix = f"{time.strftime(context.settings.date_folder)}/{filename_prefix}"
        target = save_target(
            context.folders,
            self.type,
            filename_prefix,
            width=images.shape[2],
            height=images.shape[1],
            root=self.output_dir,
        )
        text = self._text(prompt, extra_pnginfo)
        saved = save_images(target, images, metadata=text, compress_level=self.compress_level)
        return {"ui": {"images": saved}, "result": (images,)}

    def _text(self, prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> PngInfo | None:
        if self.context.settings.disable_metadata:
            return None
        last = _last_text[0] if _last_text else None
        if last is None or last[0] is not prompt or last[1] is not extra_pnginfo:
            metadata = metadata_of(self.context.settings, prompt, extra_pnginfo)
            last = (prompt, extra_pnginfo, png_text(metadata))
            _last_text[:] = [last]
        return last[2]


class PreviewImage(SaveImage):
    """Writes images into the temp folder, under a name of its own for every instance."""

    DISPLAY_NAME = "Preview Image"
    REQUIRED = inputs(images=("IMAGE",))

    type = "temp"
    compress_level = 1

    def __init__(self) -> None:
        self.prefix_append = temp_prefix("")


class SaveImageWebsocket(Node):
    """Sends images to the client as PNG, in binary WebSocket frames; writes no file.

    ComfyUI brings it along as a node pack, and its example for the WebSocket API relies on it.
    """

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "custom_nodes.websocket_image_save"
    CATEGORY = "api/image"
    REQUIRED = inputs(images=("IMAGE",))
    OUTPUT_NODE = True

    @classmethod
    def IS_CHANGED(cls, **_: object) -> float:
        """Always: who asks again gets the images again."""
        return math.nan

    def run(self, images: Tensor) -> dict[str, Any]:
        """One frame per image."""
        for number, image in enumerate(images, start=1):
            picture = ReadyPicture(picture=to_picture(image), full_size=True, lossless=True)
            self.context.report(number, len(images), picture)
        return {}
