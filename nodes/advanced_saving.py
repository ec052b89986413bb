"""The output node that writes images in a format of choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from torch import Tensor

from nodes.avif_files import write_deep_avif
from nodes.base import inputs
from nodes.deep_pictures import write_avif, write_exr, write_png16
from nodes.film_colors import SPACES, FilmColors, film_colors
from nodes.saved_files import Write, save_files, target_for
from nodes.saved_images import Metadata, metadata_of, png_text, to_picture
from nodes.schema import DynamicNode, opening

_COMPRESSION: Final = 4  # of PNG, as in SaveImage
_FPS: Final = ("FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0, "step": 0.01})
_LOOPS: Final = ("INT", {"default": 0, "min": 0, "max": 1000})
_FORMATS: Final = {
    "png": inputs(bit_depth=(["8-bit", "16-bit"],), input_color_space=(["sRGB"],)),
    "exr": inputs(
        bit_depth=(["16-bit float", "32-bit float"],),
        input_color_space=(["sRGB", "HDR", "linear", "linear ACEScg"],),
    ),
    "avif": inputs(
        bit_depth=(["auto", "8-bit YUV420", "10-bit YUV420"],),
        input_color_space=(SPACES,),
        crf=("INT", {"default": 18, "min": 1, "max": 63}),
        save_mode=opening(
            {"still images": inputs(), "animated": inputs(fps=_FPS, loop_count=_LOOPS)}
        ),
    ),
}


class SaveImageAdvanced(DynamicNode):
    """Writes images as PNG of 8 or 16 bits, EXR or AVIF."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_images"
    DISPLAY_NAME = "Save Image (Advanced)"
    CATEGORY = "image"
    REQUIRED = inputs(
        images=("IMAGE",),
        filename_prefix=("STRING", {"default": "ComfyUI", "multiline": False}),
        format=opening(_FORMATS),
    )
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def run(
        self,
        images: Tensor,
        filename_prefix: str,
        format: Mapping[str, Any],
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Names have nothing behind their number. The workflow goes into the files unless off."""
        context = self.context
        batch = images[..., None] if images.ndim == 3 else images  # grey
        metadata = metadata_of(context.settings, prompt, extra_pnginfo)
        target = target_for(context, filename_prefix, width=batch.shape[2], height=batch.shape[1])
        writers = _writers(batch, format, metadata)
        saved = save_files(target, writers, format["format"], bare=True)
        is_moving = format.get("save_mode", {}).get("save_mode") == "animated"
        shown: dict[str, Any] = {"images": saved}
        if is_moving and len(batch) > 1:
            shown["animated"] = (True,)
        return {"ui": shown, "result": (images,)}


def _writers(images: Tensor, format: Mapping[str, Any], metadata: Metadata) -> Iterator[Write]:
    """What writes each file."""
    match format["format"]:
        case "png":
            write = write_png16 if format["bit_depth"] == "16-bit" else _write_png8
            yield from (partial(write, image, metadata, _COMPRESSION) for image in images)
        case "exr":
            depth, space = format["bit_depth"], format["input_color_space"]
            yield from (partial(write_exr, image, metadata, depth, space) for image in images)
        case _:
            yield from _avif_writers(images, format, metadata)


def _avif_writers(images: Tensor, format: Mapping[str, Any], metadata: Metadata) -> Iterator[Write]:
    """What writes each AVIF file: a picture, or all of them in motion."""
    depth = format["bit_depth"].partition("-")[0]
    colors = film_colors(depth, format["input_color_space"])
    mode, crf = format["save_mode"], format["crf"]
    fps, loops = mode.get("fps"), mode.get("loop_count", 0)
    batches = [images] if fps is not None else [image[None] for image in images]
    for batch in batches:
        if colors == FilmColors() and not loops:
            yield partial(write_avif, batch, metadata, crf, fps or 1.0)
        else:
            write = partial(write_deep_avif, batch, metadata, crf, colors)
            yield partial(write, fps=fps or 1.0, loops=loops)


def _write_png8(image: Tensor, metadata: Metadata, compress_level: int, path: Path) -> None:
    text = png_text(metadata)
    to_picture(image).save(path, "PNG", pnginfo=text, compress_level=compress_level)
