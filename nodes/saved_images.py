"""Writing images: as PNG and as animations, with the workflow inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from nodes.context import NodeSettings
from nodes.saved_files import SaveTarget, Write, save_files

Metadata = Mapping[str, Any]  # what goes into a file besides its content, to be JSON

_MODEL_TAG: Final = 0x0110  # of EXIF, where the graph goes; what the client added goes below

WEBP_METHODS: Final = {"default": 4, "fastest": 0, "slowest": 6}


def save_images(
    target: SaveTarget, images: Tensor, *, metadata: PngInfo | None, compress_level: int
) -> list[dict[str, str]]:
    """Write a batch [B, H, W, C] as PNG files; returns their entries for clients."""

    def write(image: Tensor) -> Write:
        picture = to_picture(image)
        return lambda path: picture.save(
            path, "PNG", pnginfo=metadata, compress_level=compress_level
        )

    return save_files(target, map(write, images), "png")


def to_picture(image: Tensor) -> Image.Image:
    """[H, W, C] in 0..1 to 8 bits a channel: clipped, truncated."""
    pixels = (image.detach().to("cpu", torch.float32) * 255.0).clamp(0, 255).to(torch.uint8)
    array = pixels.numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def metadata_of(
    settings: NodeSettings, prompt: Any, extra_pnginfo: Mapping[str, Any] | None
) -> Metadata:
    """The graph and what the client added, unless the settings leave them out."""
    if settings.disable_metadata:
        return {}
    graph = {} if prompt is None else {"prompt": prompt}
    return graph | dict(extra_pnginfo or {})


def as_text(value: Any) -> str:
    """A value of metadata as it is written into files."""
    return json.dumps(value, default=str)


def png_text(metadata: Metadata) -> PngInfo:
    """Metadata as PNG text chunks."""
    chunks = PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, as_text(value))
    return chunks


def exif(metadata: Metadata) -> Image.Exif:
    """Metadata as EXIF, which other formats have."""
    tags = Image.Exif()
    for tag, (key, value) in zip(_tags(), metadata.items(), strict=False):
        tags[tag] = f"{key}:{as_text(value)}"
    return tags


def _tags() -> Iterator[int]:
    return iter(range(_MODEL_TAG, 0, -1))


def save_animated_png(
    target: SaveTarget, images: Tensor, *, metadata: Metadata, fps: float, compress_level: int
) -> list[dict[str, str]]:
    """Write a batch [B, H, W, C] as one moving PNG; returns its entry for clients."""
    chunks = PngInfo()
    for key, value in metadata.items():
        text = key.encode("latin-1", "strict") + b"\0" + as_text(value).encode("latin-1")
        chunks.add(b"comf", text, after_idat=True)
    pictures = [to_picture(image) for image in images]

    def write(path: Path) -> None:
        pictures[0].save(
            path,
            "PNG",
            pnginfo=chunks,
            compress_level=compress_level,
            save_all=True,
            duration=int(1000.0 / fps),
            append_images=pictures[1:],
        )

    return save_files(target, [write], "png")


def save_animated_webp(
    target: SaveTarget,
    images: Tensor,
    *,
    metadata: Metadata,
    fps: float,
    lossless: bool,
    quality: int,
    method: int,
) -> list[dict[str, str]]:
    """Write a batch [B, H, W, C] as one moving WebP; returns its entry for clients.

    `method` is that of libwebp: 0 is fast, 6 makes small files.
    """
    pictures = [to_picture(image) for image in images]

    def write(path: Path) -> None:
        pictures[0].save(
            path,
            "WEBP",
            exif=exif(metadata),
            save_all=True,
            duration=int(1000.0 / fps),
            append_images=pictures[1:],
            lossless=lossless,
            quality=quality,
            method=method,
        )

    return save_files(target, [write], "webp")
