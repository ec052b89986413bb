"""Files that nodes save or show: images, animations, sound. Names and counters are our own."""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from comfy_api.latest._enums import FolderType
from comfy_api.latest._sound import encode_sound
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from nodes.context import current_context
from nodes.saved_images import (
    SaveTarget,
    png_text,
    save_files,
    save_images,
    save_target,
    to_picture,
)

_MODEL_TAG = 0x0110  # of EXIF, where the graph goes; what the client added goes below

_WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}


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


def temp_prefix() -> str:
    """What names of shown files begin with: another one every time."""
    letters = random.SystemRandom().choices(string.ascii_lowercase, k=5)
    return f"ComfyUI_temp_{''.join(letters)}"


def metadata_of(cls: Any) -> tuple[Any, dict[str, Any]]:
    """The graph and what the client added, as far as the node asked for them and they go in."""
    hidden = getattr(cls, "hidden", None)
    if hidden is None or current_context().settings.disable_metadata:
        return None, {}
    return hidden.prompt, dict(hidden.extra_pnginfo or {})


def _target(prefix: str, folder: FolderType | str, width: int = 0, height: int = 0) -> SaveTarget:
    context = current_context()
    kind = FolderType(folder).value
    date = context.settings.date_folder
    if date is not None and kind == "output":
        prefix = f"{time.strftime(date)}/{prefix}"
    return save_target(context.folders, kind, prefix, width=width, height=height)


def _results(entries: list[dict[str, str]]) -> list[SavedResult]:
    return [SavedResult(entry["filename"], entry["subfolder"], entry["type"]) for entry in entries]


def save_pngs(
    images: Tensor, prefix: str, folder: FolderType | str, cls: Any, compress_level: int
) -> list[SavedResult]:
    """Write a batch [B, H, W, C], one file each."""
    target = _target(prefix, folder, images.shape[2], images.shape[1])
    prompt, extra = metadata_of(cls)
    metadata = png_text(prompt, extra) if prompt is not None or extra else None
    return _results(save_images(target, images, metadata=metadata, compress_level=compress_level))


def save_animated_png(
    images: Tensor,
    prefix: str,
    folder: FolderType | str,
    cls: Any,
    fps: float,
    compress_level: int,
) -> SavedResult:
    """Write a batch as one moving PNG."""
    target = _target(prefix, folder, images.shape[2], images.shape[1])
    metadata = PngInfo()
    for key, value in _metadata_items(cls):
        chunk = key.encode("latin-1", "strict") + b"\0" + json.dumps(value).encode("latin-1")
        metadata.add(b"comf", chunk, after_idat=True)
    pictures = [to_picture(image) for image in images]

    def write(file: BinaryIO) -> None:
        pictures[0].save(
            file,
            "PNG",
            pnginfo=metadata,
            compress_level=compress_level,
            save_all=True,
            duration=int(1000.0 / fps),
            append_images=pictures[1:],
        )

    return _results(save_files(target, [write], "png"))[0]


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
    target = _target(prefix, folder, images.shape[2], images.shape[1])
    exif = Image.Exif()
    for tag, (key, value) in zip(_tags(), _metadata_items(cls), strict=False):
        exif[tag] = f"{key}:{json.dumps(value)}"
    pictures = [to_picture(image) for image in images]

    def write(file: BinaryIO) -> None:
        pictures[0].save(
            file,
            "WEBP",
            exif=exif,
            save_all=True,
            duration=int(1000.0 / fps),
            append_images=pictures[1:],
            lossless=lossless,
            quality=quality,
            method=method if isinstance(method, int) else _WEBP_METHODS.get(method, 4),
        )

    return _results(save_files(target, [write], "webp"))[0]


def _metadata_items(cls: Any) -> Iterator[tuple[str, Any]]:
    prompt, extra = metadata_of(cls)
    if prompt is not None:
        yield "prompt", prompt
    yield from extra.items()


def _tags() -> Iterator[int]:
    return iter(range(_MODEL_TAG, 0, -1))


def save_sounds(
    audio: dict[str, Any],
    prefix: str,
    folder: FolderType | str,
    cls: Any,
    format: str,
    quality: str,
) -> list[SavedResult]:
    """Write a batch of sounds [B, C, T], one file each: flac, mp3, opus or wav."""
    target = _target(prefix, folder)
    texts = {key: json.dumps(value, default=str) for key, value in _metadata_items(cls)}
    rate = int(audio["sample_rate"])
    files = [encode_sound(sound, rate, format, quality, texts) for sound in audio["waveform"]]
    return _results(save_files(target, [_writer(file) for file in files], format))


def _writer(content: bytes) -> Any:
    return lambda file: file.write(content)
