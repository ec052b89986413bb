"""Nodes that read and write datasets as folders of pictures, with texts beside them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from torch import Tensor

from nodes.base import FileOptions, inputs
from nodes.context import NodeContext, annotated_path
from nodes.datasets.base import DatasetNode
from nodes.file_names import numbers_in
from nodes.loaded_images import read_image
from nodes.saved_images import to_picture

_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_REPEATED: Final = re.compile(r"([0-9]+)_.")  # a folder whose pictures count several times
_FOLDER: Final = (FileOptions("input_folders"),)
_NAME: Final = ("STRING", {"default": "dataset", "multiline": False})
_PREFIX: Final = ("STRING", {"default": "image", "multiline": False})
_MODE: Final = (["overwrite", "increment"], {"default": "overwrite"})
_HIDDEN: Final = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))


class _FolderReader(DatasetNode):
    REQUIRED = inputs(folder=_FOLDER)

    @classmethod
    def IS_CHANGED(cls, folder: str) -> str:
        """Names, sizes and times of the files."""
        top = annotated_path(folder)
        found = [(str(path), path.stat()) for path in sorted(top.rglob("*"))]
        stamps = [(name, status.st_size, status.st_mtime_ns) for name, status in found]
        return hashlib.sha256(repr(stamps).encode()).hexdigest()


class LoadImageDataSetFromFolder(_FolderReader):
    """Reads all pictures of a folder in the input folder."""

    DISPLAY_NAME = "Load Image Dataset from Folder"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_IS_LIST = (True,)

    def run(self, folder: str) -> tuple[list[Tensor]]:
        """In the order of their names. Raises ValueError for a folder without pictures."""
        context = self.context
        pictures = _pictures(context.folders.file_path("input", folder))
        return ([_read(context, path) for path in pictures],)


class LoadImageTextDataSetFromFolder(_FolderReader):
    """Reads all pictures of a folder in the input folder, with the texts beside them."""

    DISPLAY_NAME = "Load Image and Text Dataset from Folder"
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("images", "texts")
    OUTPUT_IS_LIST = (True, True)

    def run(self, folder: str) -> tuple[list[Tensor], list[str]]:
        """The text of `a.png` is in `a.txt`; a picture without one has an empty text.

        Pictures of folders such as `10_cats` count ten times, as trainers have it.
        """
        context = self.context
        top = context.folders.file_path("input", folder)
        paths = list(_counted(top))
        if not paths:
            raise ValueError(f"there are no pictures in the folder '{top.name}'")
        texts = [_text_of(path) for path in paths]
        return [_read(context, path) for path in paths], texts


def _pictures(folder: Path) -> list[Path]:
    paths = _pictures_in(folder)
    if not paths:
        raise ValueError(f"there are no pictures in the folder '{folder.name}'")
    return paths


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _counted(folder: Path) -> Iterator[Path]:
    yield from _pictures_in(folder)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        repeated = _REPEATED.match(inner.name)
        if repeated is not None:
            yield from _pictures_in(inner) * int(repeated[1])


def _read(context: NodeContext, path: Path) -> Tensor:
    return read_image(path, path.name, context.settings.max_image_pixels)[0][:1]


def _text_of(picture: Path) -> str:
    path = picture.with_suffix(".txt")
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


class _FolderWriter(DatasetNode):
    HIDDEN = _HIDDEN
    OUTPUT_NODE = True
    INPUT_IS_LIST: ClassVar[bool] = True
    IN_BACKGROUND = True
    OPTIONAL = inputs(mode=_MODE)

    def _write(self, images: list[Tensor], folder_name: str, prefix: str, mode: str) -> list[Path]:
        """Write pictures as `<prefix>_00000000.png`, ... over older ones, or after them."""
        context = self.context
        folder = context.folders.file_path("output", folder_name)
        folder.mkdir(parents=True, exist_ok=True)
        first = _next_number(folder, prefix) if mode == "increment" else 0
        paths = []
        for number, image in enumerate((one for batch in images for one in batch), start=first):
            context.check_interrupted()
            path = context.folders.below(folder, f"{prefix}_{number:08}.png")
            temporary = path.with_name(f".{path.name}.tmp")
            try:
                to_picture(image).save(temporary, "PNG")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            paths.append(path)
        context.wrote(paths)
        return paths


def _next_number(folder: Path, prefix: str) -> int:
    """One more than the highest among the files of that name."""
    path = folder / prefix
    if not path.parent.is_dir():
        return 0
    highest = numbers_in(path.parent, bare=True).get(os.path.normcase(path.name))
    return 0 if highest is None else highest + 1


class SaveImageDataSetToFolder(_FolderWriter):
    """Writes pictures into a folder in the output folder."""

    DISPLAY_NAME = "Save Image Dataset to Folder"
    REQUIRED = inputs(images=("IMAGE",), folder_name=_NAME, filename_prefix=_PREFIX)

    def run(
        self,
        images: list[Tensor],
        folder_name: list[str],
        filename_prefix: list[str],
        mode: Sequence[str] = ("overwrite",),
        **_: Any,
    ) -> tuple[()]:
        """One PNG each."""
        self._write(images, folder_name[0], filename_prefix[0], mode[0])
        return ()


class SaveImageTextDataSetToFolder(_FolderWriter):
    """Writes pictures into a folder in the output folder, and texts beside them."""

    DISPLAY_NAME = "Save Image and Text Dataset to Folder"
    REQUIRED = inputs(
        images=("IMAGE",),
        texts=("STRING", {"multiline": False}),
        folder_name=_NAME,
        filename_prefix=_PREFIX,
    )

    def run(
        self,
        images: list[Tensor],
        texts: list[str],
        folder_name: list[str],
        filename_prefix: list[str],
        mode: Sequence[str] = ("overwrite",),
        **_: Any,
    ) -> tuple[()]:
        """Raises ValueError unless every picture has a text."""
        count = sum(len(batch) for batch in images)
        if count != len(texts):
            raise ValueError(f"there are {count} images, but {len(texts)} texts")
        pictures = self._write(images, folder_name[0], filename_prefix[0], mode[0])
        paths = [self._beside(picture) for picture in pictures]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        self.context.wrote(paths)
        return ()

    def _beside(self, picture: Path) -> Path:
        return self.context.folders.below(picture.parent, f"{picture.stem}.txt")
