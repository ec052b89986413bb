"""Results of nodes that later runs may use again, and which of them are kept."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from executor.worker.keys import Key

# A submitted node's results lie in scope None. An expansion's lie under the node that expanded:
# its id and class, and those of the submitted node it comes from.
NodeName: TypeAlias = tuple[str, str]  # node id, class
Scope: TypeAlias = tuple[NodeName, NodeName] | None
Slot: TypeAlias = tuple[Scope, Key]


@dataclass(frozen=True, kw_only=True, slots=True)
class UiResult:
    """What a node shows, and which node it was."""

    output: dict[str, Any]
    meta: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeResult:
    """What a node has produced."""

    outputs: list[list[Any]]  # per output the values of all mapped calls
    ui: UiResult | None = None


class ResultCache(Protocol):
    """Keeps results between runs, and decides which."""

    keeps_objects: bool  # whether node objects outlive a run as well

    def begin(self, keys: Iterable[Key], names: frozenset[NodeName]) -> None:
        """A run begins whose submitted nodes have these keys and names."""

    def expand(self, scope: Scope, keys: Iterable[Key]) -> None:
        """A node has expanded into nodes with these keys."""

    def get(self, slot: Slot) -> NodeResult | None:
        """A kept result."""

    def put(self, slot: Slot, result: NodeResult) -> None:
        """Keep a result for now."""

    def relieve(self) -> None:
        """Called after every node: drop results if memory is short."""

    def clear(self) -> None:
        """Drop everything."""


class NoCache:
    """Keeps nothing."""

    keeps_objects = False

    def begin(self, keys: Iterable[Key], names: frozenset[NodeName]) -> None:
        """Nothing to prepare."""

    def expand(self, scope: Scope, keys: Iterable[Key]) -> None:
        """Nothing to prepare."""

    def get(self, slot: Slot) -> NodeResult | None:
        """Never anything."""
        return None

    def put(self, slot: Slot, result: NodeResult) -> None:
        """Forget it."""

    def relieve(self) -> None:
        """Nothing to drop."""

    def clear(self) -> None:
        """Nothing to drop."""


class ClassicCache:
    """Keeps the results of the last submitted graph, and those of its last expansions."""

    keeps_objects = True

    def __init__(self) -> None:
        self._scopes: dict[Scope, dict[Key, NodeResult]] = {}
        self._expanded: set[Scope] = set()  # in this run

    def begin(self, keys: Iterable[Key], names: frozenset[NodeName]) -> None:
        """Drop what is not part of the new graph, and nested expansions that did not come again."""
        renewed = {scope[1] for scope in self._expanded if scope is not None}
        kept: dict[Scope, dict[Key, NodeResult]] = {
            scope: results
            for scope, results in self._scopes.items()
            if scope is not None
            and scope[1] in names
            and (scope in self._expanded or scope[1] not in renewed)
        }
        own = self._scopes.get(None, {})
        kept[None] = {key: own[key] for key in frozenset(keys) if key in own}
        self._scopes = kept
        self._expanded.clear()

    def expand(self, scope: Scope, keys: Iterable[Key]) -> None:
        """Drop what the former expansion of the same node had and this one has not."""
        self._expanded.add(scope)
        former = self._scopes.pop(scope, {})
        self._scopes[scope] = {key: former[key] for key in keys if key in former}

    def get(self, slot: Slot) -> NodeResult | None:
        """A kept result."""
        results = self._scopes.get(slot[0])
        return results.get(slot[1]) if results is not None else None

    def put(self, slot: Slot, result: NodeResult) -> None:
        """Keep it until a graph comes that lacks it."""
        self._scopes.setdefault(slot[0], {})[slot[1]] = result

    def relieve(self) -> None:
        """Memory is not watched."""

    def clear(self) -> None:
        """Drop everything."""
        self._scopes.clear()
        self._expanded.clear()


class LruCache:
    """Keeps the current graph's results and older ones by last use, up to a number of nodes."""

    keeps_objects = True

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._results: OrderedDict[Slot, NodeResult] = OrderedDict()
        self._used: set[Slot] = set()  # since the last run began

    def begin(self, keys: Iterable[Key], names: frozenset[NodeName]) -> None:
        """Mark the new graph's results as used, then drop the oldest others."""
        current = frozenset(keys)
        for key in current:
            if (None, key) in self._results:
                self._results.move_to_end((None, key))
        excess = len(self._results) - self._limit
        for slot in list(self._results) if excess > 0 else ():
            if excess <= 0:
                break
            scope, key = slot
            if scope is None:
                is_current = key in current
            else:
                is_current = scope[1] in names and slot in self._used
            if not is_current:
                del self._results[slot]
                excess -= 1
        self._used.clear()

    def expand(self, scope: Scope, keys: Iterable[Key]) -> None:
        """Former expansions stay, as former graphs do."""

    def get(self, slot: Slot) -> NodeResult | None:
        """A kept result; it counts as used now."""
        result = self._results.get(slot)
        if result is not None:
            self._use(slot)
        return result

    def put(self, slot: Slot, result: NodeResult) -> None:
        """Keep it, as the one used last."""
        self._results[slot] = result
        self._use(slot)

    def _use(self, slot: Slot) -> None:
        self._results.move_to_end(slot)
        self._used.add(slot)

    def relieve(self) -> None:
        """Memory is not watched."""

    def clear(self) -> None:
        """Drop everything."""
        self._results.clear()
        self._used.clear()


class RamCache:
    """Keeps results until free memory falls below a headroom; then large and old ones go first."""

    keeps_objects = True
    _CHECK_INTERVAL_S = 0.02  # reading the free memory costs more than most nodes do
    _RELIEF = 1.1  # free this much of the headroom, so that the next node does not start over

    def __init__(
        self,
        headroom_bytes: float,
        *,
        free_bytes: Callable[[], float],
        size_of: Callable[[NodeResult], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headroom = headroom_bytes
        self._free_bytes = free_bytes
        self._size_of = size_of
        self._clock = clock
        self._checked = float("-inf")
        self._run = 0
        self._results: dict[Slot, NodeResult] = {}
        self._used: dict[Slot, int] = {}  # the run that used it last

    def begin(self, keys: Iterable[Key], names: frozenset[NodeName]) -> None:
        """Count one more run: results that it does not use grow older."""
        self._run += 1
        for key in keys:
            if (None, key) in self._used:
                self._used[None, key] = self._run

    def expand(self, scope: Scope, keys: Iterable[Key]) -> None:
        """Former expansions stay while there is room."""

    def get(self, slot: Slot) -> NodeResult | None:
        """A kept result; it counts as used in this run."""
        result = self._results.get(slot)
        if result is not None:
            self._used[slot] = self._run
        return result

    def put(self, slot: Slot, result: NodeResult) -> None:
        """Keep it while there is room."""
        self._results[slot] = result
        self._used[slot] = self._run

    def relieve(self) -> None:
        """Drop the largest and oldest results if free memory is short."""
        now = self._clock()
        if now - self._checked < self._CHECK_INTERVAL_S:
            return
        self._checked = now
        free = self._free_bytes()
        if free >= self._headroom:
            return
        sizes = {slot: self._size_of(result) for slot, result in self._results.items()}
        weight = {slot: size * (1 + self._run - self._used[slot]) for slot, size in sizes.items()}
        for slot in sorted(weight, key=weight.__getitem__, reverse=True):
            if free >= self._headroom * self._RELIEF:
                break
            free += sizes[slot]
            del self._results[slot], self._used[slot]

    def clear(self) -> None:
        """Drop everything."""
        self._results.clear()
        self._used.clear()


def tensor_bytes(result: NodeResult) -> int:
    """A rough size of a result: its tensors on the CPU, and a little for everything else."""
    total = 0
    seen: set[int] = set()
    stack: list[Any] = [result.outputs]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif hasattr(value, "nbytes") and getattr(value, "device", None) is not None:
            total += value.nbytes if value.device.type == "cpu" else 0
        total += 64
    return total
