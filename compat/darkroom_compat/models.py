"""The process that these modules run in: its policy for models, its folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.memory import Policy
from models.text.combinations import TextFolders
from nodes.context import process_services
from nodes.text_folders import text_folders


def policy() -> Policy:
    """Devices and number types of models."""
    return process_services().policy


def folders_of(directory: Any) -> TextFolders:
    """Folders of embeddings as packs hand them: None, one path or a list."""
    folders = replace(text_folders(process_services()), embeddings=())
    if directory is None:
        return folders
    found: Iterable[Any] = [directory] if isinstance(directory, (str, Path)) else directory
    return replace(folders, embeddings=tuple(Path(folder) for folder in found))
