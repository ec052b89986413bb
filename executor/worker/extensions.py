"""Packs with an entry point: `comfy_entrypoint` gives an extension, which gives node classes."""

from __future__ import annotations

import asyncio
import inspect
from types import ModuleType
from typing import Any, Final

from executor.worker.contract import NodeClass

ENTRY_POINT: Final = "comfy_entrypoint"


class ExtensionError(Exception):
    """A pack's entry point does not do what one does."""


def has_entry_point(module: ModuleType) -> bool:
    """Whether a module is a pack of this form."""
    return callable(getattr(module, ENTRY_POINT, None))


def extension_nodes(module: ModuleType) -> list[NodeClass]:
    """`load_extension` for callers without an event loop."""
    return asyncio.run(load_extension(module))


async def load_extension(module: ModuleType) -> list[NodeClass]:
    """The node classes of a pack with an entry point.

    Entry point, `on_load` and `get_node_list` are called in this order. Raises ExtensionError, or
    whatever the pack raises.
    """
    extension = await _result(getattr(module, ENTRY_POINT)())
    if not callable(getattr(extension, "get_node_list", None)):
        raise ExtensionError(f"its {ENTRY_POINT} gives no ComfyExtension, but {extension!r}")
    if callable(getattr(extension, "on_load", None)):
        await _result(extension.on_load())
    nodes = await _result(extension.get_node_list())
    if not isinstance(nodes, list | tuple):
        raise ExtensionError(f"its get_node_list gives no list of node classes, but {nodes!r}")
    for node in nodes:
        if not callable(getattr(node, "GET_SCHEMA", None)):
            raise ExtensionError(f"its get_node_list lists {node!r}, which is no io.ComfyNode")
    return list(nodes)


def names_of(node_class: NodeClass) -> tuple[str, str | None]:
    """What workflows call a V3 class, and what clients show. Raises ValueError for a bad schema."""
    schema = node_class.GET_SCHEMA()
    return schema.node_id, schema.display_name


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
