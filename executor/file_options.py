"""The choices of file inputs, listed from disk: alike in the server and in workers. No torch."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from executor.folders import Folders
from executor.listing import can_be_named, is_file, is_folder

INPUT_IMAGES = "input_images"
VAES = "vaes"  # files of VAEs, and the tiny ones whose two files are there
PIPELINES = "pipelines"  # folders that diffusers has saved

# Tiny autoencoders by name: vae_approx holds NAME_encoder... and NAME_decoder...
TINY_VAES = ("taesd", "taesdxl", "taesd3", "taef1")

_PIPELINE_INDEX = "model_index.json"

# Types that Python's table lacks on some systems.
_IMAGE_EXTENSIONS: Final = frozenset({".webp", ".avif", ".jxl", ".heic", ".heif"})
_AUDIO_EXTENSIONS: Final = frozenset({".flac", ".m4a", ".opus", ".ogg", ".oga"})
_VIDEO_EXTENSIONS: Final = frozenset({".webm", ".mkv", ".m4v"})
_3D_EXTENSIONS: Final = frozenset({".gltf", ".glb", ".obj", ".fbx", ".stl"})


@dataclass(frozen=True, slots=True)
class InputFiles:
    """A kind of files in the input folder that nodes read."""

    word: str  # in messages: "Invalid image file"
    kinds: tuple[str, ...]  # what the types of such files begin with
    is_one: Callable[[str], bool]  # by its name
    subfolder: str = ""  # only these are listed


def _files(
    word: str, extensions: frozenset[str], kinds: tuple[str, ...] = (), subfolder: str = ""
) -> InputFiles:
    """Files of these extensions, or of types that begin so."""

    def is_one(name: str) -> bool:
        guessed = mimetypes.guess_type(name)[0] or ""
        extension = name[name.rfind(".") :].lower() if "." in name else ""
        return extension in extensions or (bool(kinds) and guessed.startswith(kinds))

    return InputFiles(word, kinds, is_one, subfolder)


# What `NodeDefinition.file_options` may name beside kinds of model folders.
INPUT_FILES: Final[Mapping[str, InputFiles]] = {
    INPUT_IMAGES: _files("image", _IMAGE_EXTENSIONS, ("image/",)),
    "input_audio": _files("audio", _AUDIO_EXTENSIONS | _VIDEO_EXTENSIONS, ("audio/", "video/")),
    "input_videos": _files("video", _VIDEO_EXTENSIONS, ("video/",)),
    "input_latents": _files("latent", frozenset({".latent"})),
    "input_3d": _files("3D model", _3D_EXTENSIONS, ("model/",), "3d"),
}
INPUT_FOLDERS: Final = "input_folders"  # the folders in the input folder


class FileOptionLists:
    """Names for `NodeDefinition.file_options`."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def names(self, source: str) -> list[str]:
        """Files of a model folder kind, or what one of the other sources offers; sorted."""
        if source == VAES:
            return [*self._folders.filename_list("vae"), *self._tiny_vaes()]
        if source == PIPELINES:
            return self._pipelines()
        if source == INPUT_FOLDERS:
            return sorted(self._input_folders())
        files = INPUT_FILES.get(source)
        if files is None:
            return self._folders.filename_list(source)
        return sorted(self._input_files(files))

    def _input_files(self, files: InputFiles) -> Iterator[str]:
        prefix = f"{files.subfolder}/" if files.subfolder else ""
        for entry in _entries(self._folders.input / files.subfolder):
            if files.is_one(entry.name) and is_file(entry) and self._is_offered(entry):
                yield prefix + entry.name

    def _input_folders(self) -> Iterator[str]:
        for entry in _entries(self._folders.input):
            if is_folder(entry) and self._is_offered(entry):
                yield entry.name

    def _tiny_vaes(self) -> list[str]:
        files = self._folders.filename_list("vae_approx")
        halves = ("encoder", "decoder")
        return [
            name
            for name in TINY_VAES
            if all(any(file.startswith(f"{name}_{half}") for file in files) for half in halves)
        ]

    def _pipelines(self) -> list[str]:
        found: set[str] = set()
        for root in self._folders.kind_folders("diffusers"):
            for folder, _, files in os.walk(root, followlinks=True):
                if _PIPELINE_INDEX in files:
                    found.add(Path(folder).relative_to(root).as_posix())
        return sorted(found)

    def _is_offered(self, entry: os.DirEntry[str]) -> bool:
        if not can_be_named(entry.name):
            return False
        return not entry.is_symlink() or self._folders.is_reachable(entry.path)

    def annotated_path(self, name: str) -> Path:
        """The path that a choice among input files stands for; raises OutsideFolder."""
        return self._folders.annotated_path(name)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return
