"""Output nodes that write a batch of images as one moving picture, or as drawings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from torch import Tensor

from nodes.base import inputs
from nodes.saved_files import Write, save_files, target_for
from nodes.saved_images import (
    WEBP_METHODS,
    as_text,
    metadata_of,
    save_animated_png,
    save_animated_webp,
)
from nodes.schema import SchemaNode

_MODULE: Final = "comfy_extras.nodes_images"
_PREFIX: Final = ("STRING", {"default": "ComfyUI", "multiline": False})
_FPS: Final = ("FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0, "step": 0.01})
_HIDDEN: Final = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))


class _AnimationNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "image/animation"
    HIDDEN = _HIDDEN
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True


def _shown(saved: list[dict[str, str]], images: Tensor) -> dict[str, Any]:
    return {"ui": {"images": saved, "animated": (len(images) > 1,)}, "result": (images,)}


class SaveAnimatedWEBP(_AnimationNode):
    """Writes images as one moving WebP file."""

    REQUIRED = inputs(
        images=("IMAGE",),
        filename_prefix=_PREFIX,
        fps=_FPS,
        lossless=("BOOLEAN", {"default": True}),
        quality=("INT", {"default": 80, "min": 0, "max": 100}),
        method=(list(WEBP_METHODS),),
    )

    def run(
        self,
        images: Tensor,
        filename_prefix: str,
        fps: float,
        lossless: bool,
        quality: int,
        method: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The workflow goes into its EXIF unless that is off."""
        context = self.context
        height, width = images.shape[1:3]
        saved = save_animated_webp(
            target_for(context, filename_prefix, width=width, height=height),
            images,
            metadata=metadata_of(context.settings, prompt, extra_pnginfo),
            fps=fps,
            lossless=lossless,
            quality=quality,
            method=WEBP_METHODS[method],
        )
        return _shown(saved, images)


class SaveAnimatedPNG(_AnimationNode):
    """Writes images as one moving PNG file."""

    REQUIRED = inputs(
        images=("IMAGE",),
        filename_prefix=_PREFIX,
        fps=_FPS,
        compress_level=("INT", {"default": 4, "min": 0, "max": 9}),
    )

    def run(
        self,
        images: Tensor,
        filename_prefix: str,
        fps: float,
        compress_level: int,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The workflow goes into `comf` chunks unless that is off."""
        context = self.context
        height, width = images.shape[1:3]
        saved = save_animated_png(
            target_for(context, filename_prefix, width=width, height=height),
            images,
            metadata=metadata_of(context.settings, prompt, extra_pnginfo),
            fps=fps,
            compress_level=compress_level,
        )
        return _shown(saved, images)


class SaveSVGNode(SchemaNode):
    """Writes drawings (SVG) into the output folder."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "image/save"
    REQUIRED = inputs(
        svg=("SVG",), filename_prefix=("STRING", {"default": "svg/ComfyUI", "multiline": False})
    )
    HIDDEN = _HIDDEN
    RETURN_TYPES = ("SVG",)
    RETURN_NAMES = ("svg",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def run(
        self,
        svg: Any,
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`svg.data` holds files in memory. The workflow goes into a `metadata` element."""
        context = self.context
        metadata = metadata_of(context.settings, prompt, extra_pnginfo)
        texts = [file.getvalue().decode("utf-8") for file in svg.data]
        writers = [_text_writer(_with_metadata(text, metadata)) for text in texts]
        saved = save_files(target_for(context, filename_prefix), writers, "svg")
        return {"ui": {"images": saved}, "result": (svg,)}


def _text_writer(text: str) -> Write:
    return lambda path: Path(path).write_text(text, encoding="utf-8")


def _with_metadata(svg: str, metadata: Mapping[str, Any]) -> str:
    """The text of a drawing with metadata behind its opening tag."""
    opening = re.search(r"<svg[^>]*>", svg)
    if not metadata or opening is None:
        return svg
    content = as_text(dict(metadata)).replace("]]>", "]]]]><![CDATA[>")
    element = f"<metadata><![CDATA[{content}]]></metadata>"
    return f"{svg[: opening.end()]}\n{element}\n{svg[opening.end() :]}"
