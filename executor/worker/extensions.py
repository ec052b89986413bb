"""Packs with an entry point: `comfy_entrypoint` gives an extension, which gives node classes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

from executor.worker.contract import NodeClass, is_v3_class

ENTRY_POINT: Final = "comfy_entrypoint"


class ExtensionError(Exception):
    """A pack's entry point does not do what one does."""


def has_entry_point(module: ModuleType) -> bool:
    """Whether a module is a pack of this form."""
    return callable(getattr(module, ENTRY_POINT, None))


def extension_nodes(module: ModuleType) -> list[NodeClass]:
    """The node classes of a pack with an entry point, for callers without an event loop.

    Raises ExtensionError, or whatever the pack raises.
    """
    return asyncio.run(load_extension(module))


async def load_extension(module: ModuleType) -> list[NodeClass]:
    """As `extension_nodes`; entry point, `on_load` and `get_node_list` are called in this order."""
    extension = await _result(getattr(module, ENTRY_POINT)())
    if not callable(getattr(extension, "get_node_list", None)):
        raise ExtensionError(f"{ENTRY_POINT} returned {extension!r}, which has no get_node_list")
    if callable(getattr(extension, "on_load", None)):
        await _result(extension.on_load())
    nodes = await _result(extension.get_node_list())
    if not isinstance(nodes, Sequence):
        raise ExtensionError(f"get_node_list returned {nodes!r}, not a list of node classes")
    for node in nodes:
        if not is_v3_class(node):
            raise ExtensionError(f"get_node_list lists {node!r}, which is no io.ComfyNode class")
    return list(nodes)


def names_of(node_class: NodeClass) -> tuple[str, str | None]:
    """What workflows call a V3 class, and what clients show. Raises ValueError for a bad schema."""
    schema = node_class.GET_SCHEMA()
    return schema.node_id, schema.display_name


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
