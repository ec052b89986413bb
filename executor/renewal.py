"""Keeps the choices of node packs' classes fresh: their lists may come from folders.

Our own classes name the source of such a list, and the server reads it from disk. Those of packs
just list what they find whenever they are asked, by a worker that has them loaded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from executor.calls import DESCRIBE_INPUTS
from executor.definition_cache import Definitions
from executor.definitions import NodeDefinition
from executor.pool import Pool
from executor.worker_interface import CallFailed, WorkerLost

log = logging.getLogger(__name__)

PACKS: Final = "custom_nodes"  # where the modules of packs lie
WAIT_S: Final = 10.0  # for a worker's answer; after that what is known has to do


class Renewal:
    """Asks workers what the classes of node packs offer now. Owned by the event loop."""

    def __init__(self, definitions: Definitions, pool: Pool) -> None:
        self._definitions = definitions
        self._pool = pool
        self._asking = asyncio.Lock()
        self._asked_all = float("-inf")  # when that began

    async def renew_all(self) -> None:
        """Bring all classes of packs up to date, if a worker is there to be asked."""
        came = time.monotonic()
        async with self._asking:
            if self._asked_all > came:  # for another one, who also waited
                return
            names = [name for name, x in self._definitions.by_name.items() if is_of_pack(x)]
            if names and any(slot.is_ready for slot in self._pool.slots):
                self._asked_all = time.monotonic()
                await self._renew(names)

    async def renew_refused(self, node_errors: Mapping[str, Any]) -> bool:
        """Bring classes up to date that refuse a choice; whether one of them has changed."""
        names = {
            entry["class_type"]
            for entry in node_errors.values()
            if any(error["type"] == "value_not_in_list" for error in entry["errors"])
        }
        by_name = self._definitions.by_name
        stale = sorted(name for name in names if name in by_name and is_of_pack(by_name[name]))
        return bool(stale) and await self._renew(stale)

    async def _renew(self, names: Iterable[str]) -> bool:
        arguments = {"classes": list(names)}
        try:
            inputs = await self._pool.call(DESCRIBE_INPUTS, arguments, WAIT_S)
        except (CallFailed, WorkerLost, TimeoutError) as error:
            log.warning("the choices of node packs may be outdated: %s", error)
            return False
        return self._definitions.replace_inputs(inputs)


def is_of_pack(definition: NodeDefinition) -> bool:
    """Whether a class comes from a node pack."""
    return str(definition.info.get("python_module", "")).startswith(PACKS)
