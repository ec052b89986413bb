"""Writing images: file names with counters, PNG with the workflow inside, never a half file."""

from __future__ import annotations

import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from nodes.context import NodeFolders

_REMEMBERED_PREFIXES = 1024
_NUMBER = re.compile(r"([0-9]+)_")


@dataclass(frozen=True, kw_only=True)
class SaveTarget:
    """Where a batch of files goes."""

    folder: Path
    subfolder: str  # relative to the output or temp folder, with `/`
    name: str  # what the file names begin with; may hold %batch_num%
    file_type: str  # "output" or "temp"

    def entry(self, filename: str) -> dict[str, str]:
        """The file as clients see it."""
        return {"filename": filename, "subfolder": self.subfolder, "type": self.file_type}


def save_target(
    folders: NodeFolders, file_type: str, prefix: str, width: int = 0, height: int = 0
) -> SaveTarget:
    """Resolve a file name prefix; makes the folder. Raises an error if it leads out of it."""
    relative = os.path.normpath(_fill_in(prefix, width, height))
    subfolder, name = os.path.split(relative)
    folder = folders.file_path(file_type, subfolder)
    folder.mkdir(parents=True, exist_ok=True)
    return SaveTarget(
        folder=folder, subfolder=subfolder.replace(os.sep, "/"), name=name, file_type=file_type
    )


def _fill_in(prefix: str, width: int, height: int) -> str:
    if "%" not in prefix:
        return prefix
    now = time.localtime()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for key, value in values.items():
        prefix = prefix.replace(f"%{key}%", value)
    return prefix


class _Counters:
    """The highest number used per folder and name, as long as nobody else wrote there.

    A folder with thousands of files is thus listed once, not for every image.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Path, str], tuple[int, int]] = OrderedDict()

    def highest(self, folder: Path, name: str) -> int:
        known = self._known.get((folder, name))
        if known is not None and known[0] == folder.stat().st_mtime_ns:
            return known[1]
        return _highest_on_disk(folder, name)

    def used(self, folder: Path, name: str, number: int) -> None:
        self._known[folder, name] = (folder.stat().st_mtime_ns, number)
        self._known.move_to_end((folder, name))
        if len(self._known) > _REMEMBERED_PREFIXES:
            self._known.popitem(last=False)

    def forget(self, folder: Path, name: str) -> None:
        self._known.pop((folder, name), None)


_counters = _Counters()


def _highest_on_disk(folder: Path, name: str) -> int:
    """The highest N among entries `<name>_N_...`, as the file system compares names; 0 if none."""
    start = os.path.normcase(f"{name}_")
    highest = 0
    for entry in os.listdir(folder):  # noqa: PTH208  (names are all it takes)
        if os.path.normcase(entry[: len(start)]) == start:
            number = _NUMBER.match(entry, len(start))
            highest = max(highest, int(number[1]) if number else 0)
    return highest


def save_images(
    target: SaveTarget, images: Tensor, *, metadata: PngInfo | None, compress_level: int
) -> list[dict[str, str]]:
    """Write a batch [B, H, W, C] as PNG files; returns their entries for clients."""
    number = _counters.highest(target.folder, target.name)
    entries = []
    for index, image in enumerate(images):
        name = target.name.replace("%batch_num%", str(index))
        while True:
            number += 1
            filename = f"{name}_{number:05}_.png"
            if _write_png(target.folder / filename, image, metadata, compress_level):
                break
            # Another process took the name meanwhile.
            number = max(number, _highest_on_disk(target.folder, target.name))
        entries.append(target.entry(filename))
    if entries:
        _counters.used(target.folder, target.name, number)
    return entries


def _write_png(path: Path, image: Tensor, metadata: PngInfo | None, level: int) -> bool:
    """Write under a temporary name, then link to the real one; False if that name is taken."""
    temporary = path.with_name(f".{os.getpid()}-{time.monotonic_ns()}.tmp")
    try:
        with temporary.open("wb") as file:
            to_picture(image).save(file, "PNG", pnginfo=metadata, compress_level=level)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            temporary.rename(path)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def to_picture(image: Tensor) -> Image.Image:
    """[H, W, C] in 0..1 to 8 bits a channel: clipped, truncated."""
    pixels = (image.detach().to("cpu", torch.float32) * 255.0).clamp(0, 255).to(torch.uint8)
    array = pixels.numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def png_text(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> PngInfo:
    """The graph and what the client added, as PNG text chunks."""
    chunks = PngInfo()
    if prompt is not None:
        chunks.add_text("prompt", json.dumps(prompt, default=str))
    for key, value in (extra_pnginfo or {}).items():
        chunks.add_text(key, json.dumps(value, default=str))
    return chunks
