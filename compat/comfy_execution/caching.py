"""Names of the reference's result caches; ours are chosen with the `--cache` options."""

from __future__ import annotations

from typing import Any


class BasicCache:
    """Raises when it is made."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            f"comfy_execution.caching.{type(self).__name__}: Darkroom keeps results itself; "
            "see the --cache options"
        )


class HierarchicalCache(BasicCache):
    """As BasicCache."""


class LRUCache(BasicCache):
    """As BasicCache."""


class RAMPressureCache(LRUCache):
    """As BasicCache."""


class NullCache(BasicCache):
    """As BasicCache."""


class CacheKeySetID(BasicCache):
    """As BasicCache."""


class CacheKeySetInputSignature(BasicCache):
    """As BasicCache."""
