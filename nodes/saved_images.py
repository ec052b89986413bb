"""Writing images: file names with counters, PNG with the workflow inside, never a half file."""

from __future__ import annotations

import json
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from nodes.context import NodeFolders
from nodes.file_names import fill_in_prefix, numbers_in

Write: TypeAlias = Callable[[BinaryIO], object]  # writes the content of one file

_REMEMBERED_FOLDERS = 64


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
    folders: NodeFolders,
    file_type: str,
    prefix: str,
    width: int = 0,
    height: int = 0,
    root: str | None = None,
) -> SaveTarget:
    """Resolve a file name prefix; makes the folder. Raises an error if it leads out of it.

    `root` stands in for the folder of the type.
    """
    relative = os.path.normpath(fill_in_prefix(prefix, width, height))
    subfolder, name = os.path.split(relative)
    top = folders.directory(file_type) if root is None else Path(root)
    folders.below(top, f"{relative}_")  # the whole of a name, with a number to follow
    folder = folders.below(top, subfolder)
    folder.mkdir(parents=True, exist_ok=True)
    return SaveTarget(
        folder=folder, subfolder=subfolder.replace(os.sep, "/"), name=name, file_type=file_type
    )


@dataclass(slots=True)
class _FolderNumbers:
    """The highest number per file name start in one folder, and when that was true."""

    modified_ns: int
    highest: dict[str, int]


class _Counters:
    """Numbers in use, remembered per folder for as long as nobody else writes there.

    A folder with thousands of files is thus listed once, not for every image.
    """

    def __init__(self) -> None:
        self._folders: OrderedDict[Path, _FolderNumbers] = OrderedDict()

    def highest(self, folder: Path, name: str) -> int:
        """The highest N among entries `<name>_N_...`, as the file system compares names."""
        known = self._folders.get(folder)
        modified_ns = folder.stat().st_mtime_ns
        if known is None or known.modified_ns != modified_ns:
            known = self._folders[folder] = _FolderNumbers(modified_ns, numbers_in(folder))
        self._folders.move_to_end(folder)
        if len(self._folders) > _REMEMBERED_FOLDERS:
            self._folders.popitem(last=False)
        return known.highest.get(os.path.normcase(name), 0)

    def used(self, folder: Path, name: str, number: int) -> None:
        """We have written files up to this number."""
        known = self._folders[folder]
        known.highest[os.path.normcase(name)] = number
        known.modified_ns = folder.stat().st_mtime_ns

    def forget(self, folder: Path) -> None:
        """Another process writes there too: list it anew."""
        self._folders.pop(folder, None)


_counters = _Counters()


def save_images(
    target: SaveTarget, images: Tensor, *, metadata: PngInfo | None, compress_level: int
) -> list[dict[str, str]]:
    """Write a batch [B, H, W, C] as PNG files; returns their entries for clients."""

    def write(image: Tensor) -> Write:
        picture = to_picture(image)
        return lambda file: picture.save(
            file, "PNG", pnginfo=metadata, compress_level=compress_level
        )

    return save_files(target, map(write, images), "png")


def save_files(
    target: SaveTarget, writers: Iterable[Write], extension: str
) -> list[dict[str, str]]:
    """Write a batch of files under the next numbers; returns their entries for clients."""
    number = _counters.highest(target.folder, target.name)
    entries = []
    for index, write in enumerate(writers):
        name = target.name.replace("%batch_num%", str(index))
        while True:
            number += 1
            filename = f"{name}_{number:05}_.{extension}"
            if _write(target.folder / filename, write):
                break
            _counters.forget(target.folder)
            number = max(number, _counters.highest(target.folder, target.name))
        entries.append(target.entry(filename))
    if entries:
        _counters.used(target.folder, target.name, number)
    return entries


def _write(path: Path, write: Write) -> bool:
    """Write under a temporary name, then link to the real one; False if that name is taken."""
    temporary = path.with_name(f".{os.getpid()}-{time.monotonic_ns()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
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
