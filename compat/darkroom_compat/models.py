"""The process that these modules run in: its policy for models, its folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models.memory import Policy
from models.text.combinations import TextFolders
from nodes.context import process_services


def policy() -> Policy:
    """Devices and number types of models."""
    return process_services().policy


def folders_of(directory: Any) -> TextFolders:
    """Folders of embeddings as packs hand them: None, one path or a list."""
    tokenizers = tuple(process_services().folders.kind_folders("tokenizers"))
    if directory is None:
        return TextFolders(tokenizers=tokenizers)
    found: Iterable[Any] = [directory] if isinstance(directory, (str, Path)) else directory
    return TextFolders(embeddings=tuple(Path(folder) for folder in found), tokenizers=tokenizers)
