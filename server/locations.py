"""Where files are: the folders that the settings name, made where they are missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from executor.folders import Folders
from executor.packs import find_packs
from server.pack_files import PackFiles
from server.settings import Settings

EXTRA_PATHS_NAME: Final = "extra_model_paths.yaml"
STARTER_MODELS: Final = Path(__file__).parent.parent / "models" / "starter"


def extra_path_files(settings: Settings) -> list[Path]:
    """YAML files of further model folders: in the base folder, here, and those that are named."""
    usual = [settings.base_directory / EXTRA_PATHS_NAME, Path(EXTRA_PATHS_NAME)]
    files = [file for file in usual if file.is_file()] + list(settings.extra_model_paths)
    return list(dict.fromkeys(file.resolve() for file in files))


def make_folders(settings: Settings, *, empty_temp: bool = True) -> Folders:
    """All folders, made where they are missing. Raises OSError, ExtraPathsError."""
    folders = Folders.build(
        settings.base_directory,
        output_dir=settings.output_directory,
        input_dir=settings.input_directory,
        temp_dir=settings.temp_directory,
        user_dir=settings.user_directory,
        models_dir=settings.models_directory,
        extra_configs=extra_path_files(settings),
        extra_checkpoints=[STARTER_MODELS],
    )
    if empty_temp:
        shutil.rmtree(folders.temp, ignore_errors=True)
    folders.make()
    return folders


def build_pack_files(settings: Settings, folders: Folders) -> PackFiles:
    """What the node packs that are not switched off bring for clients."""
    only = settings.whitelist_custom_nodes if settings.disable_custom_nodes else None
    return PackFiles(lambda: find_packs(folders.custom_nodes, only=only))
