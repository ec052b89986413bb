"""Textual inversion embeddings: finds and reads what `embedding:name` in a prompt means."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import ModelError
from models.weights import read_document

SUFFIXES: Final = ("", ".safetensors", ".pt", ".bin")

logger = logging.getLogger(__name__)


def load_embedding(name: str, folders: Sequence[Path], encoder: str) -> Tensor | None:
    """The rows [T, D] of an embedding for an encoder (such as "clip_l"), or None.

    A file that cannot be read counts as missing, with a line in the log: a prompt goes on.
    """
    path = find_embedding(name, folders)
    if path is None:
        return None
    try:
        rows = _choose(read_document(path), encoder)
    except ModelError as error:
        logger.warning("embedding '%s' is left out: %s", name, error)
        return None
    if rows is None:
        logger.warning("embedding '%s' is left out: '%s' holds no tensor", name, path)
        return None
    return rows.detach().to("cpu", torch.float32).reshape(-1, rows.shape[-1])


def find_embedding(name: str, folders: Sequence[Path]) -> Path | None:
    """The file of an embedding, with or without its extension.

    Looked for directly below each folder, then below its subfolders (links followed).
    """
    if not name or "\0" in name:
        return None
    for folder in folders:
        for top in _folders_below(os.path.abspath(folder), ()):  # noqa: PTH100
            for suffix in SUFFIXES:
                target = os.path.normpath(os.path.join(top, name + suffix))  # noqa: PTH118
                if target.startswith(top + os.sep) and Path(target).is_file():
                    return Path(target)
    return None


def _folders_below(folder: str, above: tuple[str, ...]) -> Iterator[str]:
    """A folder, then all below it; `above` holds the real paths on the way, to end link loops."""
    real = os.path.realpath(folder)
    if real in above or not Path(folder).is_dir():
        return
    yield folder
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if Path(entry.path).is_dir():  # False for a link to itself
            yield from _folders_below(entry.path, (*above, real))


def _choose(document: Mapping[str, Any], encoder: str) -> Tensor | None:
    """The entry for the encoder; `string_to_param` goes first, else any that is a tensor."""
    nested = document.get("string_to_param")
    if isinstance(nested, Mapping):
        return next(_tensors(nested.values()), None)
    named = document.get(encoder)
    if isinstance(named, Tensor):
        return named if named.ndim else None
    return next(_tensors(document.values()), None)


def _tensors(values: Any) -> Iterator[Tensor]:
    return (value for value in values if isinstance(value, Tensor) and value.ndim)
