"""The process that these modules run in: its policy for models, its folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models.memory import Policy
from nodes.context import process_services


def policy() -> Policy:
    """Devices and number types of models."""
    return process_services().policy


def folders_of(directory: Any) -> list[Path]:
    """Folders of embeddings as packs hand them: None, one path or a list."""
    if directory is None:
        return []
    if isinstance(directory, (str, Path)):
        return [Path(directory)]
    found: Iterable[Any] = directory
    return [Path(folder) for folder in found]
