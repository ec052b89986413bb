"""The node that shows two images side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from nodes.base import inputs
from nodes.saved_files import save_target, temp_prefix
from nodes.saved_images import metadata_of, png_text, save_images
from nodes.schema import SchemaNode


class ImageCompare(SchemaNode):
    """Shows two batches of images, to be compared."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_image_compare"
    DISPLAY_NAME = "Image Compare"
    CATEGORY = "image"
    OPTIONAL = inputs(
        image_a=("IMAGE",),
        image_b=("IMAGE",),
        compare_view=("IMAGECOMPARE", {"socketless": True}),
    )
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def run(
        self,
        image_a: Tensor | None = None,
        image_b: Tensor | None = None,
        compare_view: Any = None,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`ui.a_images` and `ui.b_images` list files in the temp folder."""
        metadata = metadata_of(self.context.settings, prompt, extra_pnginfo)
        shown = {}
        for side, images in (("a", image_a), ("b", image_b)):
            shown[f"{side}_images"] = self._show(side, images, metadata)
        return {"ui": shown}

    def _show(
        self, side: str, images: Tensor | None, metadata: Mapping[str, Any]
    ) -> list[dict[str, str]]:
        if images is None:
            return []
        prefix = temp_prefix(f"comfy.compare.{side}")
        target = save_target(self.context.folders, "temp", prefix)
        text = png_text(metadata) if metadata else None
        return save_images(target, images, metadata=text, compress_level=1)
