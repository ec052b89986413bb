"""Attributes by dotted path, list items included: "diffusion_model.blocks.0.norm"."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def get_path(obj: Any, path: str) -> Any:
    """What is at the path; AttributeError with the whole path if there is nothing."""
    found = obj
    for name in path.split("."):
        try:
            found = found[int(name)] if name.isdigit() else getattr(found, name)
        except (AttributeError, IndexError, TypeError, KeyError) as error:
            raise AttributeError(f"{type(obj).__name__} has nothing at '{path}'") from error
    return found


def set_path(obj: Any, path: str, value: Any) -> None:
    """Put a value there."""
    owner_path, _, leaf = path.rpartition(".")
    owner = get_path(obj, owner_path) if owner_path else obj
    if leaf.isdigit():
        owner[int(leaf)] = value
        return
    if isinstance(owner, nn.Module) and isinstance(owner._parameters.get(leaf), nn.Parameter):
        value = nn.Parameter(value, requires_grad=False) if _is_plain(value) else value
    elif isinstance(owner, nn.Module) and leaf in owner._modules and not _is_module(value):
        # A function in the place of a layer: the registry of layers takes modules only.
        del owner._modules[leaf]
    setattr(owner, leaf, value)


def _is_plain(value: Any) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter)


def _is_module(value: Any) -> bool:
    return value is None or isinstance(value, nn.Module)
