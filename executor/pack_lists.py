"""Lists that node packs make themselves, of files for the most part, asked for again.

Definitions hold a list as it was when the pack was loaded, unless the server can list the files
itself. A worker is asked when a client wants to know what there is, or names what is not listed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from executor.calls import DESCRIBE
from executor.definition_cache import Definitions
from executor.definitions import NodeDefinition
from executor.packs import MODULE_PREFIX
from executor.pool import Pool
from executor.worker_interface import CallFailed, NoAnswer, WorkerLost

log = logging.getLogger(__name__)

_ANSWER_S: Final = 10.0  # that a worker has; it may be in the middle of a node


class PackLists:
    """Keeps such lists fresh. Owned by the event loop."""

    def __init__(self, definitions: Definitions, pool: Pool) -> None:
        self._definitions = definitions
        self._pool = pool
        self._asking: asyncio.Task[None] | None = None

    async def refresh(self, wait_s: float) -> bool:
        """Wait so long at most for a worker to list anew; whether anything has changed.

        An answer that is late still counts for whoever asks next.
        """
        names = [name for name, d in self._definitions.by_name.items() if _may_change(d)]
        if not names or not any(slot.is_ready for slot in self._pool.slots):
            return False
        revision = self._definitions.revision
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(names))
        await asyncio.wait([self._asking], timeout=wait_s)
        return self._definitions.revision != revision

    async def _ask(self, names: list[str]) -> None:
        try:
            answer = await self._pool.call(
                DESCRIBE, {"names": names}, wait_s=_ANSWER_S, answer_s=_ANSWER_S
            )
        except (CallFailed, WorkerLost, NoAnswer, TimeoutError) as error:
            log.warning("the lists of node packs are those of before: %s", error)
            return
        self._definitions.update(msgspec.convert(answer, list[NodeDefinition]))


def _may_change(definition: NodeDefinition) -> bool:
    if not str(definition.info.get("python_module", "")).startswith(f"{MODULE_PREFIX}."):
        return False
    return any(
        name not in definition.file_options and _is_list(declared)
        for section in ("required", "optional")
        for name, declared in (definition.info["input"].get(section) or {}).items()
    )


def _is_list(declared: Any) -> bool:
    if not isinstance(declared, list) or not declared:
        return False
    if declared[0] == "COMBO" and len(declared) > 1 and isinstance(declared[1], Mapping):
        return isinstance(declared[1].get("options"), list)
    return isinstance(declared[0], list)


def names_what_is_not_listed(node_errors: Mapping[str, Any]) -> bool:
    """Whether an input was refused because its list does not have the value."""
    return any(
        error.get("type") == "value_not_in_list"
        for node in node_errors.values()
        for error in node.get("errors", ())
    )
