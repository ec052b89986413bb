"""Opens model files: memory-mapped tensors by name, and never code."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from models.errors import CheckpointUnreadable, UnsafeCheckpoint, UnsupportedLayout
from models.gguf_file import read_gguf
from models.mapping import map_file
from models.safetensors_header import read_header
from models.stored.scales import with_scales

SAFETENSORS_SUFFIXES: Final = frozenset({".safetensors", ".sft"})
GGUF_SUFFIX: Final = ".gguf"
CONFIG_KEY: Final = "darkroom.config"
_COUNTS: Final = ("num_attention_heads", "norm_num_groups")
_MOST: Final = 4096  # of them


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The tensors of one file, mapped from it, and what its metadata says."""

    path: Path
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str] = field(default_factory=dict)

    def config(self, part: str) -> dict[str, Any]:
        """What the file states about a part beyond its shapes (metadata `darkroom.config`)."""
        text = self.metadata.get(CONFIG_KEY, "{}")
        try:
            document = json.loads(text)
            options = document.get(part, {})
        except (ValueError, AttributeError) as error:
            raise CheckpointUnreadable(
                self.path, f"its metadata '{CONFIG_KEY}' is no JSON object"
            ) from error
        if not isinstance(options, dict):
            raise CheckpointUnreadable(self.path, f"'{CONFIG_KEY}' has no table for '{part}'")
        for name in _COUNTS:
            may_be_list = (part, name) == ("unet", "num_attention_heads")
            if name in options and not _is_count(options[name], may_be_list=may_be_list):
                raise CheckpointUnreadable(
                    self.path, f"its '{name}' of '{part}' cannot be {options[name]!r}"
                )
        return options

    def below(self, *prefixes: str) -> Weights:
        """The tensors whose names start with the first prefix that any name has, without it."""
        for prefix in prefixes:
            found = {
                name.removeprefix(prefix): tensor
                for name, tensor in self.tensors.items()
                if name.startswith(prefix)
            }
            if found:
                return Weights(path=self.path, tensors=found, metadata=self.metadata)
        return Weights(path=self.path, tensors={}, metadata=self.metadata)

    def main_dtype(self) -> torch.dtype | None:
        """The type of most of the numbers; None for a file without tensors."""
        counts: Counter[torch.dtype] = Counter()
        for tensor in self.tensors.values():
            counts[tensor.dtype] += tensor.numel()
        return counts.most_common(1)[0][0] if counts else None

    def shape(self, name: str, axes: int | None = None) -> tuple[int, ...]:
        """The shape of a tensor, which has so many axes if that is said.

        Raises CheckpointUnreadable if the file lacks it, UnsupportedLayout for other axes.
        """
        if name not in self.tensors:
            raise CheckpointUnreadable(self.path, f"the tensor '{name}' is missing")
        shape = tuple(self.tensors[name].shape)
        if axes is not None and len(shape) != axes:
            raise UnsupportedLayout(self.path, f"'{name}' has {len(shape)} axes instead of {axes}")
        return shape

    def count(self, pattern: str) -> int:
        """How many of `pattern` with `{}` = 0, 1, 2, ... are the start of a tensor's name."""
        number = 0
        while any(name.startswith(pattern.format(number)) for name in self.tensors):
            number += 1
        return number


def _is_count(value: object, *, may_be_list: bool) -> bool:
    """Whether this is a positive number, or perhaps a list with one for each resolution."""
    if isinstance(value, list) and may_be_list:
        return bool(value) and all(_is_count(item, may_be_list=False) for item in value)
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST


def open_weights(path: Path) -> Weights:
    """The tensors of a model file. Raises CheckpointUnreadable, UnsafeCheckpoint, PackageMissing.

    `.safetensors`, `.sft` and `.gguf` are checked, then mapped. Every other file must be one that
    `torch.load(weights_only=True)` accepts, which builds tensors only. Weights that come with
    scales are tensors of the products (models.stored).
    """
    if not path.is_file():
        raise CheckpointUnreadable(path, "there is no such file", "Check the name.")
    if path.suffix.lower() in SAFETENSORS_SUFFIXES:
        opened = _open_safetensors(path)
    elif path.suffix.lower() == GGUF_SUFFIX:
        tensors, texts = read_gguf(path)
        return Weights(path=path, tensors=tensors, metadata=texts)
    else:
        opened = _open_pickle(path)
    return replace(opened, tensors=with_scales(path, opened.tensors))


def _open_safetensors(path: Path) -> Weights:
    header = read_header(path)
    if not header.shapes:
        return Weights(path=path, tensors={}, metadata=header.metadata)
    try:
        mapped = map_file(path)
        tensors = {
            name: mapped.tensor(header.types[name], shape, *header.spans[name])
            for name, shape in header.shapes.items()
        }
    except KeyError as error:
        raise CheckpointUnreadable(path, f"the number type {error} is not supported") from error
    except (OSError, ValueError) as error:
        raise CheckpointUnreadable(path, str(error)) from error
    return Weights(path=path, tensors=tensors, metadata=header.metadata)


def _open_pickle(path: Path) -> Weights:
    return Weights(path=path, tensors=dict(_tensors(_read_pickle(path))))


def read_document(path: Path) -> Mapping[str, Any]:
    """What a small file holds, nested tables and all. Raises as `open_weights` does."""
    if path.suffix.lower() in SAFETENSORS_SUFFIXES:
        return _open_safetensors(path).tensors
    document = _read_pickle(path)
    return document if isinstance(document, Mapping) else {"": document}


def _read_pickle(path: Path) -> Any:
    if path.stat().st_size == 0:
        raise CheckpointUnreadable(path, "the file is empty")
    try:
        return _torch_load(path)
    except pickle.UnpicklingError as error:
        raise UnsafeCheckpoint(path, str(error).splitlines()[0]) from error
    except Exception as error:  # torch raises many types for damaged files, all of them data errors
        raise CheckpointUnreadable(path, f"{type(error).__name__}: {error}") from error


def _torch_load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        # Files from before torch 1.6 have no zip container and cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(document: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a state dict, which trainers often put under the key `state_dict`."""
    if isinstance(document, Mapping) and isinstance(document.get("state_dict"), Mapping):
        document = document["state_dict"]
    if isinstance(document, Mapping):
        for name, value in document.items():
            if isinstance(value, torch.Tensor):
                yield str(name), value
