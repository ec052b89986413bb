"""Node classes: thin and declarative; each calls `models` or plain tensor code."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any


def __getattr__(name: str) -> Any:
    """The names that node packs expect here: see `nodes.host_names`, imported when one is used."""
    if name.startswith("_") or find_spec(f"nodes.{name}") is not None:
        raise AttributeError(f"module 'nodes' has no attribute '{name}'")
    from nodes import host_names

    return host_names.find(name)
