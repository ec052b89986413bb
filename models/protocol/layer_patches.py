"""Patches of layers, for the length of one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.errors import InvalidInput
from models.network import Network


@contextmanager
def layer_patches(network: Network[Any], options: dict[str, Any]) -> Iterator[None]:
    """The network with the patches of `transformer_options`."""
    names = [name for name, found in options.get("patches", {}).items() if found]
    names += [name for name, found in options.get("patches_replace", {}).items() if found]
    if names:
        raise InvalidInput(f"patches of the kind '{names[0]}' are not supported yet")
    yield
