"""Which pending node runs next. Every operation costs no more than the links it touches."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from executor.worker.errors import DependencyCycleError

# The earlier rule wins; among equals the node that entered first.
_EARLY = 1  # an output node, or an async one
_FEEDS_OUTPUT = 2  # an output node uses it
_NEAR_OUTPUT = 3  # an output node uses what uses it
_OTHER = 4


@dataclass(slots=True)
class _Pending:
    order: int
    is_output: bool
    rank: int
    waits: int = 0  # producers that are not done
    feeds_output: bool = False
    is_held: bool = False  # it was picked, and is neither done nor put back
    producers: set[str] = field(default_factory=set)
    consumers: list[str] = field(default_factory=list)


class Schedule:
    """The pending nodes of a run and what they wait for.

    A node enters, is picked when it waits for nothing, and then is either finished or put back
    (because it turned out to wait for more). Each branch is run to its output before the next one
    starts; async nodes start early.
    """

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._ready: list[tuple[int, int, str]] = []  # a heap; may hold outdated entries
        self._entered = 0

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._pending

    def enter(self, node_id: str, *, is_output: bool, runs_early: bool) -> None:
        """Make a node pending, waiting for nothing yet."""
        rank = _EARLY if runs_early else _OTHER
        self._pending[node_id] = _Pending(self._entered, is_output, rank)
        self._entered += 1

    def wait_for(self, consumer: str, producer: str) -> None:
        """Let a pending node wait for another pending one."""
        to = self._pending[consumer]
        if producer in to.producers:
            return
        source = self._pending[producer]
        to.producers.add(producer)
        to.waits += 1
        source.consumers.append(consumer)
        if to.is_output:
            self._mark_feeding(producer, source)
        elif to.feeds_output:
            self._improve(producer, source, _NEAR_OUTPUT)

    def offer(self, node_id: str) -> None:
        """The links of a node are complete: it may be picked once nothing is missing."""
        node = self._pending[node_id]
        node.is_held = False
        if not node.waits:
            heapq.heappush(self._ready, (node.rank, node.order, node_id))

    def pick(self) -> str | None:
        """Take the node that is to run now; None if every node waits or is held."""
        while self._ready:
            rank, _, node_id = heapq.heappop(self._ready)
            node = self._pending.get(node_id)
            if node is None or node.is_held or node.waits or node.rank != rank:
                continue
            node.is_held = True
            return node_id
        return None

    def finish(self, node_id: str) -> None:
        """A picked node is done; what waited for it alone becomes ready."""
        for consumer_id in self._pending.pop(node_id).consumers:
            consumer = self._pending[consumer_id]
            consumer.producers.discard(node_id)
            consumer.waits -= 1
            if not consumer.waits and not consumer.is_held:
                heapq.heappush(self._ready, (consumer.rank, consumer.order, consumer_id))

    def cycle(self) -> DependencyCycleError:
        """Why nothing can be picked although nodes are pending."""
        path: dict[str, None] = {}
        node_id = next(iter(self._pending))
        while node_id not in path:
            path[node_id] = None
            node_id = min(self._pending[node_id].producers, key=lambda p: self._pending[p].order)
        members = list(path)
        return DependencyCycleError(members[members.index(node_id) :])

    def _mark_feeding(self, node_id: str, node: _Pending) -> None:
        if node.feeds_output:
            return
        node.feeds_output = True
        self._improve(node_id, node, _FEEDS_OUTPUT)
        for producer in node.producers:
            self._improve(producer, self._pending[producer], _NEAR_OUTPUT)

    def _improve(self, node_id: str, node: _Pending, rank: int) -> None:
        if rank >= node.rank:
            return
        node.rank = rank
        if not node.waits and not node.is_held:
            heapq.heappush(self._ready, (rank, node.order, node_id))
