"""Files that nodes save or show: images, animations, sound. Names and counters are our own."""

from __future__ import annotations

from typing import Any

from comfy_api.latest._enums import FolderType
from torch import Tensor

from nodes.context import current_context
from nodes.saved_files import SaveTarget, target_for
from nodes.saved_images import (
    WEBP_METHODS,
    Metadata,
    metadata_of,
    png_text,
    save_images,
)
from nodes.saved_images import save_animated_png as write_animated_png
from nodes.saved_images import save_animated_webp as write_animated_webp
from nodes.saved_sounds import save_sounds as write_sounds


class SavedResult(dict[str, Any]):
    """One file as clients see it."""

    def __init__(self, filename: str, subfolder: str, type: FolderType | str) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=FolderType(type).value)

    @property
    def filename(self) -> str:
        """The name in its folder."""
        return str(self["filename"])

    @property
    def subfolder(self) -> str:
        """The folder inside of input, output or temp."""
        return str(self["subfolder"])

    @property
    def type(self) -> str:
        """input, output or temp."""
        return str(self["type"])


def _metadata(cls: Any) -> Metadata:
    """What goes into files, as far as the node asked for it."""
    hidden = getattr(cls, "hidden", None)
    if hidden is None:
        return {}
    return metadata_of(current_context().settings, hidden.prompt, hidden.extra_pnginfo)


def _target(prefix: str, folder: FolderType | str, images: Tensor | None = None) -> SaveTarget:
    height, width = (0, 0) if images is None else images.shape[1:3]
    kind = FolderType(folder).value
    return target_for(current_context(), prefix, kind, width=width, height=height)


def _results(entries: list[dict[str, str]]) -> list[SavedResult]:
    return [SavedResult(entry["filename"], entry["subfolder"], entry["type"]) for entry in entries]


def save_pngs(
    images: Tensor, prefix: str, folder: FolderType | str, cls: Any, compress_level: int
) -> list[SavedResult]:
    """Write a batch [B, H, W, C], one file each."""
    target, metadata = _target(prefix, folder, images), _metadata(cls)
    text = png_text(metadata) if metadata else None
    return _results(save_images(target, images, metadata=text, compress_level=compress_level))


def save_animated_png(
    images: Tensor,
    prefix: str,
    folder: FolderType | str,
    cls: Any,
    fps: float,
    compress_level: int,
) -> SavedResult:
    """Write a batch as one moving PNG."""
    target, metadata = _target(prefix, folder, images), _metadata(cls)
    entries = write_animated_png(
        target, images, metadata=metadata, fps=fps, compress_level=compress_level
    )
    return _results(entries)[0]


def save_animated_webp(
    images: Tensor,
    prefix: str,
    folder: FolderType | str,
    cls: Any,
    fps: float,
    lossless: bool,
    quality: int,
    method: str | int,
) -> SavedResult:
    """Write a batch as one moving WebP."""
    entries = write_animated_webp(
        _target(prefix, folder, images),
        images,
        metadata=_metadata(cls),
        fps=fps,
        lossless=lossless,
        quality=quality,
        method=method if isinstance(method, int) else WEBP_METHODS.get(method, 4),
    )
    return _results(entries)[0]


def save_sounds(
    audio: Any, prefix: str, folder: FolderType | str, cls: Any, format: str, quality: str
) -> list[SavedResult]:
    """Write a batch of sounds [B, C, T], one file each: flac, mp3, opus or wav."""
    target, metadata = _target(prefix, folder), _metadata(cls)
    return _results(write_sounds(target, audio, format, quality=quality, metadata=metadata))
