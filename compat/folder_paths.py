"""ComfyUI's `folder_paths` over `executor.folders`: where models, inputs and outputs are."""

from __future__ import annotations

import mimetypes
import os
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal

from darkroom_compat.host import folders as _folders
from darkroom_compat.kind_table import take_over

from executor.folders import (
    KIND_ALIASES,
    MODEL_EXTENSIONS,
    FolderError,
    OutsideFolder,
    inside,
    split_annotation,
)
from executor.listing import list_files
from nodes.context import CURRENT
from nodes.file_choices import FileChoices
from nodes.file_names import fill_in_prefix, highest_number

if TYPE_CHECKING:  # see _FolderPaths
    base_path: str
    models_dir: str
    output_directory: str
    input_directory: str
    temp_directory: str
    user_directory: str

supported_pt_extensions: set[str] = set(MODEL_EXTENSIONS)

# Kind -> (list of folders, set of extensions). Packs write to it, and everybody sees it.
folder_names_and_paths = take_over(_folders(), supported_pt_extensions)

SYSTEM_USER_PREFIX: Final = "__"

# File extension (without dot) -> first part of its media type, where `mimetypes` may not know it.
extension_mimetypes_cache: dict[str, str] = {
    "webp": "image",
    "avif": "image",
    "fbx": "model",
    "glb": "model",
    "gltf": "model",
    "obj": "model",
    "stl": "model",
    "usdz": "model",
}

# Packs empty it to have files listed anew. That happens by itself here: nothing is kept in it.
filename_list_cache: dict[str, tuple[list[str], dict[str, float], float]] = {}


class CacheHelper:
    """Packs hold it while they list many folders. Lists are remembered in any case."""

    def __init__(self) -> None:
        self.active = False
        self.cache: dict[str, tuple[list[str], dict[str, float], float]] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """What was set."""
        return self.cache.get(key, default)

    def set(self, key: str, value: tuple[list[str], dict[str, float], float]) -> None:
        """Remember it until `clear`, while active."""
        if self.active:
            self.cache[key] = value

    def clear(self) -> None:
        """Forget all."""
        self.cache.clear()

    def __enter__(self) -> CacheHelper:
        self.active = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.active = False
        self.clear()


cache_helper = CacheHelper()


def map_legacy(folder_name: str) -> str:
    """`unet` and `clip` are older names of kinds."""
    return KIND_ALIASES.get(folder_name, folder_name)


# Input, output, temp, user


def get_output_directory() -> str:
    """Where results are kept."""
    return str(_folders().output)


def get_input_directory() -> str:
    """Where uploads are."""
    return str(_folders().input)


def get_temp_directory() -> str:
    """Where previews are; emptied when the server starts."""
    return str(_folders().temp)


def get_user_directory() -> str:
    """Where settings and workflows of users are."""
    return str(_folders().user)


def set_output_directory(output_dir: str) -> None:
    """Save there from now on, in this process."""
    _folders().output = Path(output_dir)


def set_input_directory(input_dir: str) -> None:
    """Read there from now on, in this process."""
    _folders().input = Path(input_dir)


def set_temp_directory(temp_dir: str) -> None:
    """Put previews there from now on, in this process."""
    _folders().temp = Path(temp_dir)


def set_user_directory(user_dir: str) -> None:
    """Look for users there from now on, in this process."""
    _folders().user = Path(user_dir)


def get_directory_by_type(type_name: str | None) -> str | None:
    """The folder of `output`, `temp` or `input`; None for another word."""
    by_type = {"output": get_output_directory, "temp": get_temp_directory}
    by_type["input"] = get_input_directory
    return by_type[type_name]() if type_name in by_type else None


def get_system_user_directory(name: str = "system") -> str:
    """A folder among those of users that no client can reach; raises ValueError for a bad name."""
    plain = name.replace("-", "_")
    if not plain.isidentifier() or name.startswith("_"):
        raise ValueError(f"{name!r} cannot be the name of a system folder: use letters and digits")
    return str(_folders().user / f"{SYSTEM_USER_PREFIX}{name}")


def get_public_user_directory(user_id: str) -> str | None:
    """The folder of a user; None for what is not a user that clients may be."""
    if not user_id or user_id.startswith(SYSTEM_USER_PREFIX):
        return None
    try:
        return str(inside(_folders().user, user_id))
    except OutsideFolder:
        return None


# Names with a folder in brackets


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """`"a.png [output]"` -> `("a.png", output folder)`; without annotation the folder is None."""
    plain, file_type = split_annotation(name)
    return plain, get_directory_by_type(file_type)


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """The path that a name stands for, in `default_dir` or the input folder if it says nothing.

    Raises an error if it leads out of that folder, or to a file that the job's key may not use.
    """
    plain, folder = annotated_filepath(name)
    root = folder or default_dir or get_input_directory()
    context = CURRENT.get(None)
    folders = _folders() if context is None else context.folders
    return str(folders.below(Path(root), plain))


def exists_annotated_filepath(name: str) -> bool:
    """Whether there is such a file or folder."""
    try:
        return os.path.exists(get_annotated_filepath(name))  # noqa: PTH110
    except FolderError:
        return False


# Models


def add_model_folder_path(
    folder_name: str, full_folder_path: str, is_default: bool = False
) -> None:
    """Search a folder for models of a kind; a default one before all others."""
    kind, path = map_legacy(folder_name), str(full_folder_path)
    if kind not in folder_names_and_paths:
        folder_names_and_paths[kind] = ([], set())
    paths = folder_names_and_paths[kind][0]
    if path in paths:
        if not is_default or paths[0] == path:
            return
        paths.remove(path)
    paths.insert(0 if is_default else len(paths), path)


def get_folder_paths(folder_name: str) -> list[str]:
    """The folders of a kind in search order; raises KeyError for an unknown one."""
    return folder_names_and_paths.folders(map_legacy(folder_name))


def get_filename_list(folder_name: str) -> list[str]:
    """Names of the files of a kind, sorted; raises KeyError for an unknown kind.

    An input that offers this list is kept up to date by the server.
    """
    kind = map_legacy(folder_name)
    get_folder_paths(kind)
    return FileChoices(kind, _folders().filename_list(kind))


def get_filename_list_(folder_name: str) -> tuple[list[str], dict[str, float], float]:
    """The names of a kind, the folders below it with their modification times, and the time."""
    kind = map_legacy(folder_name)
    paths = [Path(path) for path in get_folder_paths(kind)]
    listing = list_files(paths, folder_names_and_paths.extensions(kind))
    times = {path: ns / 1e9 for path, ns in listing.stamps.items() if ns is not None}
    return list(listing.names), times, time.perf_counter()


def cached_filename_list_(
    folder_name: str,
) -> tuple[list[str], dict[str, float], float] | None:
    """What another call of `get_filename_list_` found, while the cache is held."""
    found: tuple[list[str], dict[str, float], float] | None = cache_helper.get(
        map_legacy(folder_name)
    )
    return found


def get_full_path(folder_name: str, filename: str) -> str | None:
    """The first file of that name in the folders of a kind, or None."""
    kind = map_legacy(folder_name)
    if kind not in folder_names_and_paths:
        return None
    # As if each folder were the root: `..` and a leading slash lead nowhere else.
    relative = os.path.normpath("/" + str(filename)).lstrip(os.sep)
    found = _folders().find(kind, relative)
    return None if found is None else str(found)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """As `get_full_path`; raises FileNotFoundError."""
    found = get_full_path(folder_name, filename)
    if found is None:
        kind = map_legacy(folder_name)
        searched = get_folder_paths(kind) if kind in folder_names_and_paths else []
        raise FileNotFoundError(
            f"there is no file {filename!r} in the '{kind}' folders ({', '.join(searched)})"
        )
    return found


# Lists of files


def recursive_search(
    directory: str, excluded_dir_names: Collection[str] | None = None
) -> tuple[list[str], dict[str, float]]:
    """All files below a folder, relative to it, and all folders with their modification times."""
    if not os.path.isdir(directory):  # noqa: PTH112
        return [], {}
    excluded = frozenset(excluded_dir_names or ())
    files: list[str] = []
    times = {directory: os.path.getmtime(directory)}  # noqa: PTH204
    for folder, below, names in os.walk(directory, followlinks=True):
        below[:] = [name for name in below if name not in excluded]
        prefix = os.path.relpath(folder, directory)
        files += [os.path.normpath(os.path.join(prefix, name)) for name in names]  # noqa: PTH118
        for name in below:
            path = os.path.join(folder, name)  # noqa: PTH118
            try:
                times[path] = os.path.getmtime(path)  # noqa: PTH204
            except OSError:  # it went away
                continue
    return files, times


def filter_files_extensions(files: Iterable[str], extensions: Collection[str]) -> list[str]:
    """Those with one of the extensions (none given: all), sorted."""
    wanted = frozenset(extensions)
    return sorted(
        file
        for file in files
        if not wanted or os.path.splitext(file)[1].lower() in wanted  # noqa: PTH122
    )


def filter_files_content_types(
    files: Iterable[str], content_types: Collection[Literal["image", "video", "audio", "model"]]
) -> list[str]:
    """Those whose extension is of one of the content types."""
    return [file for file in files if _content_type(file) in content_types]


def _content_type(file: str) -> str | None:
    extension = file.rsplit(".", 1)[-1].lower()
    if extension not in extension_mimetypes_cache:
        guessed, _ = mimetypes.guess_type(file.lower(), strict=False)
        if guessed is None:
            return None
        extension_mimetypes_cache[extension] = guessed.split("/", 1)[0]
    return extension_mimetypes_cache[extension]


def get_input_subfolders() -> list[str]:
    """The folders below the input folder, with `/`, sorted."""
    root = get_input_directory()
    _, folders = recursive_search(root)
    names = (os.path.relpath(folder, root).replace(os.sep, "/") for folder in folders)
    return sorted(name for name in names if name != ".")


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """(folder, file name start, next number, subfolder, prefix) for files `name_00001_.png`.

    The folder is made. Raises an error if the prefix leads out of `output_dir`.
    """
    prefix = fill_in_prefix(filename_prefix, int(image_width), int(image_height))
    subfolder, name = os.path.split(os.path.normpath(prefix))
    _folders().below(Path(output_dir), f"{os.path.normpath(prefix)}_")
    folder = _folders().below(Path(output_dir), subfolder)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder), name, highest_number(folder, name) + 1, subfolder, prefix


class _FolderPaths(ModuleType):
    """The module's variables that are those of `Folders`: read and assigned by packs."""

    @property
    def base_path(self) -> str:
        return str(_folders().base)

    @property
    def models_dir(self) -> str:
        return str(_folders().models_root)

    @models_dir.setter
    def models_dir(self, folder: str) -> None:
        _folders().models_root = Path(folder)

    @property
    def output_directory(self) -> str:
        return get_output_directory()

    @output_directory.setter
    def output_directory(self, folder: str) -> None:
        set_output_directory(folder)

    @property
    def input_directory(self) -> str:
        return get_input_directory()

    @input_directory.setter
    def input_directory(self, folder: str) -> None:
        set_input_directory(folder)

    @property
    def temp_directory(self) -> str:
        return get_temp_directory()

    @temp_directory.setter
    def temp_directory(self, folder: str) -> None:
        set_temp_directory(folder)

    @property
    def user_directory(self) -> str:
        return get_user_directory()

    @user_directory.setter
    def user_directory(self, folder: str) -> None:
        set_user_directory(folder)


sys.modules[__name__].__class__ = _FolderPaths
