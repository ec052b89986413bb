"""Loops in a graph: what lies between a StartLoop and its EndLoop, and what is wrong with them.

A loop's body is what its end needs and its start leads to. Ends are matched from the inside out:
an end belongs to the nearest start before it that no end inside of it has taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

START: Final = "StartLoop"
END: Final = "EndLoop"
ITERATION: Final = "LoopIteration"  # stands for the start in the copies that a loop is run as
OUTER_INPUT: Final = "accumulate"  # of an end: what is asked before the loop runs

_MOST: Final = 200  # loops of a submitted graph: each is looked at for itself

Edge: TypeAlias = tuple[str, str]  # name of an input, id of the node that it comes from


@dataclass(frozen=True, slots=True)
class Loop:
    """A start, its end, and the nodes between them."""

    start: str
    end: str
    body: frozenset[str]


class LoopError(Exception):
    """The loops of a graph are not whole."""

    def __init__(
        self, kind: str, text: str, node_ids: Collection[str], output_ids: Collection[str] = ()
    ) -> None:
        super().__init__(text)
        self.kind = kind  # what clients know it by
        self.node_ids = list(node_ids)  # that it is about; the first is the one to tell
        self.output_ids = list(output_ids)


class LoopGraph:
    """The part of a graph that some nodes need, with its loops."""

    def __init__(
        self,
        roots: Iterable[str],
        kind_of: Callable[[str], object],
        edges_of: Callable[[str], Iterable[Edge]],
    ) -> None:
        self._kinds: dict[str, object] = {}
        self._producers: dict[str, list[str]] = {}
        self._outer: dict[str, list[str]] = {}  # end -> the nodes behind its OUTER_INPUT
        self._consumers: dict[str, list[str]] = {}
        waiting = list(roots)
        while waiting:
            node_id = waiting.pop()
            if node_id in self._kinds:
                continue
            kind = self._kinds[node_id] = kind_of(node_id)
            edges = () if kind == ITERATION else edges_of(node_id)
            own = self._producers.setdefault(node_id, [])
            outer: list[str] = []
            for name, producer in edges:
                is_outer = kind == END and name == OUTER_INPUT
                (outer if is_outer else own).append(producer)
                self._consumers.setdefault(producer, []).append(node_id)
                waiting.append(producer)
            self._outer[node_id] = outer
        self._before: dict[str, frozenset[str]] = {}

    def _of(self, kind: str) -> list[str]:
        return [node_id for node_id, found in self._kinds.items() if found == kind]

    def _needed(self, node_id: str) -> frozenset[str]:
        """All nodes that a node needs, but for what an end is asked before its loop runs."""
        if node_id not in self._before:
            self._before[node_id] = frozenset(_reached(self._producers[node_id], self._producers))
        return self._before[node_id]

    def pairs(self) -> tuple[dict[str, str], list[LoopError]]:
        """The start of each end, and the ends for which there is none, or more than one."""
        ends, starts = frozenset(self._of(END)), frozenset(self._of(START))
        taken: dict[str, str] = {}  # end -> start
        errors: list[LoopError] = []
        for end in sorted(ends, key=lambda end: (len(self._needed(end) & ends), end)):
            open_starts = (self._needed(end) & starts) - set(taken.values())
            nearest = [
                start for start in open_starts if open_starts - {start} <= self._needed(start)
            ]
            if len(nearest) == 1:
                taken[end] = nearest[0]
            elif not open_starts:
                errors.append(
                    LoopError("loop_end_without_start", "there is no loop for it to end", [end])
                )
            else:
                text = "it could end several loops; link the outer iteration_index to the inner one"
                errors.append(
                    LoopError("ambiguous_loop_nesting", text, [end, *sorted(open_starts)])
                )
        return taken, errors

    def loop(self, start: str, end: str) -> Loop:
        """The loop of a pair."""
        return Loop(start, end, self._after(start, end) & self._needed(end))

    def _after(self, start: str, end: str) -> frozenset[str]:
        """The nodes that a start leads to without passing the end."""
        return frozenset(_reached(self._consumers.get(start, ()), self._consumers, without=end))

    def errors(self, outputs: Collection[str]) -> Iterator[LoopError]:
        """All that is wrong, where `outputs` are run for themselves."""
        boundaries = self._of(START) + self._of(END)
        if len(boundaries) > 2 * _MOST:
            text = f"a graph has {_MOST} loops at most"
            yield LoopError("ambiguous_loop_nesting", text, boundaries[:1])
            return
        taken, unmatched = self.pairs()
        yield from unmatched
        for start in self._of(START):
            if not unmatched and start not in taken.values():
                yield LoopError("loop_start_without_end", "nothing ends its loop", [start])
        for end, start in taken.items():
            after = self._after(start, end)
            inside = after & self._needed(end)
            escaped = sorted(after.intersection(outputs) - inside)
            if escaped:
                text = f"its loop leads to node {escaped[0]} without passing the EndLoop {end}"
                yield LoopError("loop_escape", text, [start, end], escaped)
            outer = _reached(self._outer[end], self._producers)
            if start in outer:
                text = f"its {OUTER_INPUT} is known before the loop runs, and comes from inside"
                yield LoopError("loop_accumulate_from_body", text, [end, start])


def _reached(
    first: Iterable[str], following: Mapping[str, Iterable[str]], *, without: str | None = None
) -> set[str]:
    """Some nodes and all that follow them, but for one and what only follows that."""
    reached: set[str] = set()
    waiting = list(first)
    while waiting:
        node_id = waiting.pop()
        if node_id not in reached and node_id != without:
            reached.add(node_id)
            waiting.extend(following.get(node_id, ()))
    return reached


def loop_of(
    end: str, kind_of: Callable[[str], object], edges_of: Callable[[str], Iterable[Edge]]
) -> Loop:
    """The loop that a node ends. Raises LoopError if there is none."""
    graph = LoopGraph([end], kind_of, edges_of)
    taken, errors = graph.pairs()
    for error in errors:
        if error.node_ids[0] == end:
            raise error
    return graph.loop(taken[end], end)
