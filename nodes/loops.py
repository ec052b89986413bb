"""Parts of a graph that run several times: what lies between a StartLoop and its EndLoop.

The end never asks for what is before it. It adds a copy of the loop's nodes for each iteration,
one waiting for the other, and takes the results of the copies. The start blocks the nodes that
were submitted, so that those that are outputs do not run for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any, ClassVar, Final, Protocol

from models.errors import InvalidInput
from nodes.base import Inputs, inputs
from nodes.blocker import ExecutionBlocker
from nodes.schema import SchemaNode, growing, opening

_MODULE: Final = "comfy_extras.nodes_loop"
_MOST: Final = 10_000  # iterations: each has nodes of its own
_TERMINATIONS: Final = 50
_FOR_MODE: Final = "For"
_LIST_MODE: Final = "List"

# What is before an end may have run, since it is an output; that is not what the end is to give.
_UNASKED: Final = {"lazy": True, "rawLink": True}

_OUTPUTS: Final = ("iteration_index", "is_first", "is_last", "list_item", "current_iteration_value")
_OUTPUT_TYPES: Final = ("INT", "BOOLEAN", "BOOLEAN", "*", "*")

Values = list[Any]  # of an input: these classes take whole lists
Expansion = dict[str, Any]


class _Link(Protocol):
    name: str
    producer: str
    index: int


class _Loop(Protocol):
    start: str
    end: str
    body: frozenset[str]


class _Graph(Protocol):
    """What is known of the graph that runs."""

    def get_node(self, node_id: str) -> dict[str, Any]: ...

    def get_display_node_id(self, node_id: str) -> str: ...

    def links(self, node_id: str) -> Sequence[_Link]: ...

    def loop_at(self, end_id: str) -> _Loop: ...


class _LoopNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "logic/loop"
    INPUT_IS_LIST: ClassVar[bool] = True
    HIDDEN: ClassVar[tuple[tuple[str, str], ...]] = (
        ("dynprompt", "DYNPROMPT"),
        ("unique_id", "UNIQUE_ID"),
    )


_START_REQUIRED: Final[Inputs] = inputs(
    mode=opening(
        {
            "simple": inputs(num_iterations=("INT", {"default": 4, "min": 0})),
            _FOR_MODE: inputs(
                start_iteration_index=("INT", {"default": 0}),
                max_iteration=("INT", {"default": 4}),
                step=("INT", {"default": 1, "min": 1}),
            ),
            _LIST_MODE: inputs(list=("*",)),
        }
    ),
    cache_iterations=("BOOLEAN", {"default": False, "advanced": True}),
)
_START_OPTIONAL: Final[Inputs] = inputs(
    parent_iteration=("INT", {"forceInput": True}), initial_iteration_value=("*",)
)


class StartLoop(_LoopNode):
    """Begins a part of the graph that runs several times."""

    DISPLAY_NAME = "Start Loop"
    REQUIRED = _START_REQUIRED
    OPTIONAL = _START_OPTIONAL
    RETURN_TYPES = _OUTPUT_TYPES
    RETURN_NAMES = _OUTPUTS

    @classmethod
    def IS_CHANGED(cls, cache_iterations: Values | None = None, **_: Values) -> float:
        """Unless iterations are cached, the loop runs again with every prompt."""
        return 0.0 if _first(cache_iterations) else nan

    def run(self, **_: Values) -> tuple[Any, ...]:
        """Nothing: the copies of the nodes after it have values, from a LoopIteration."""
        return (ExecutionBlocker(None),) * len(_OUTPUTS)


class EndLoop(_LoopNode):
    """Ends a part of the graph that runs several times, and gives what the iterations gave."""

    DISPLAY_NAME = "End Loop"
    REQUIRED = inputs(accumulate=("BOOLEAN", {"default": False}))
    OPTIONAL = inputs(
        output_value=("*", _UNASKED),
        next_iteration_value=("*", _UNASKED),
        terminations=growing(
            "termination",
            ("*", _UNASKED),
            names="termination",
            least=0,
            most=_TERMINATIONS,
        ),
    )
    RETURN_TYPES = ("*",)
    RETURN_NAMES = ("outputs",)
    OUTPUT_IS_LIST = (True,)

    def run(
        self, accumulate: Values, dynprompt: Sequence[_Graph], unique_id: Values, **_: Values
    ) -> Expansion:
        """The values of the last iteration, or of all of them in order."""
        graph, end = dynprompt[0], str(unique_id[0])
        loop = graph.loop_at(end)
        copies = f"{end}.loop"
        start = graph.get_node(loop.start)["inputs"]
        node = {
            "class_type": "LoopProgress",
            "inputs": {**start, "end": end, "accumulate": bool(_first(accumulate))},
            "override_display_id": graph.get_display_node_id(loop.start),
        }
        return {"expand": {copies: node}, "result": ([copies, 0],)}


class LoopProgress(_LoopNode):
    """Adds the iterations of a loop to the graph, once it is known how many they are."""

    DEV_ONLY = True
    REQUIRED = inputs(**_START_REQUIRED, end=("STRING",), accumulate=("BOOLEAN",))
    OPTIONAL = _START_OPTIONAL
    RETURN_TYPES = ("*",)
    RETURN_NAMES = ("outputs",)
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def IS_CHANGED(cls, **_: Values) -> float:
        """Always: the loop's nodes may be others, of which those that are not new are cached."""
        return nan

    def run(
        self,
        end: Values,
        accumulate: Values,
        dynprompt: Sequence[_Graph],
        unique_id: Values,
        **start: Values,
    ) -> Expansion | tuple[Values]:
        """Raises InvalidInput for too many iterations, or a step of 0."""
        indices = _indices(start)
        if not indices:
            return ([],)
        made = _Copies(dynprompt[0], str(end[0]), indices)
        given = dynprompt[0].get_node(str(unique_id[0]))["inputs"]
        expansion, result = made.all(given, accumulate=bool(_first(accumulate)))
        return {"expand": expansion, "result": ([result, 0],)}


def _indices(start: Mapping[str, Values]) -> Sequence[int]:
    """What `iteration_index` is in each iteration."""
    mode = _first(start["mode"])
    if mode == _LIST_MODE:
        indices = range(len(_items(start.get("mode.list", []))))
    elif mode == _FOR_MODE:
        step = int(_first(start.get("mode.step")) or 0)
        if step == 0:
            raise InvalidInput("a loop needs a step other than 0")
        first, last = (
            int(_first(start.get(f"mode.{name}")) or 0)
            for name in ("start_iteration_index", "max_iteration")
        )
        indices = range(first, last, step)
    else:
        indices = range(int(_first(start.get("mode.num_iterations")) or 0))
    if len(indices) > _MOST:
        raise InvalidInput(f"a loop runs {_MOST:,} times at most, not {len(indices):,} times")
    return indices


def _items(values: Values) -> Values:
    """The items of a list that comes as values of its own, or as one value."""
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


class _Copies:
    """The nodes of a loop, once for each iteration."""

    def __init__(self, graph: _Graph, end: str, indices: Sequence[int]) -> None:
        self._graph = graph
        self._loop = graph.loop_at(end)
        self._indices = indices
        self._end_inputs = graph.get_node(end).get("inputs", {})
        self._end_links = {link.name: link for link in graph.links(end)}
        self._result = f"{end}.result"

    def all(self, given: Mapping[str, Any], *, accumulate: bool) -> tuple[Expansion, str]:
        """The nodes of all iterations, and the id of the one that has what they gave."""
        nodes: Expansion = {}
        value = given.get("initial_iteration_value")
        values: list[Any] = []
        after: list[Any] = []
        for place, index in enumerate(self._indices):
            nodes[self._iteration(place)] = self._boundary(place, index, given, value, after)
            for node_id in self._loop.body:
                nodes[self._copy(node_id, place)] = self._copied(node_id, place)
            value = self._at_end("next_iteration_value", place, otherwise=value)
            output = self._at_end("output_value", place)
            values = [*(values if accumulate else ()), output]
            after = [output, value, *self._terminations(place)]
        said = {} if "output_value" not in self._end_inputs else _numbered("value", values)
        nodes[self._result] = {
            "class_type": "LoopResult",
            "inputs": {"total": len(self._indices), **said, **_numbered("after", after)},
            "override_display_id": self._graph.get_display_node_id(self._loop.end),
        }
        return nodes, self._result

    def _iteration(self, place: int) -> str:
        return f"{self._loop.end}.{place}"

    def _copy(self, node_id: str, place: int) -> str:
        return f"{self._iteration(place)}.{node_id}"

    def _boundary(
        self, place: int, index: int, given: Mapping[str, Any], value: Any, after: Iterable[Any]
    ) -> Expansion:
        """What stands for the start in an iteration."""
        shown = self._graph.get_display_node_id(self._loop.start)
        own: Expansion = {
            "index": index,
            "place": place,
            "is_first": place == 0,
            "is_last": place == len(self._indices) - 1,
            "is_cached": given.get("cache_iterations", False),
            "result": self._result,
            "shown": shown,
            **_numbered("after", after),
        }
        if value is not None:
            own["value"] = value
        if given["mode"] == _LIST_MODE:
            own["items"] = given.get("mode.list")
        return {"class_type": "LoopIteration", "inputs": own, "override_display_id": shown}

    def _copied(self, node_id: str, place: int) -> Expansion:
        node = self._graph.get_node(node_id)
        links = self._graph.links(node_id)
        moved = {link.name: self._moved(link, place) for link in links}
        kept = {key: value for key, value in node.items() if key != "is_changed"}
        return kept | {
            "inputs": {**node.get("inputs", {}), **moved},
            "override_display_id": self._graph.get_display_node_id(node_id),
        }

    def _moved(self, link: _Link, place: int) -> list[Any]:
        """Where an input comes from in an iteration: from inside of it, or from before the loop."""
        if link.producer == self._loop.start:
            return [self._iteration(place), link.index]
        if link.producer in self._loop.body:
            return [self._copy(link.producer, place), link.index]
        return [link.producer, link.index]

    def _at_end(self, name: str, place: int, otherwise: Any = None) -> Any:
        """What an input of the end gets from an iteration."""
        link = self._end_links.get(name)
        return self._end_inputs.get(name, otherwise) if link is None else self._moved(link, place)

    def _terminations(self, place: int) -> list[Any]:
        links = (link for name, link in self._end_links.items() if name.startswith("terminations."))
        return [self._moved(link, place) for link in links]


def _numbered(name: str, values: Iterable[Any]) -> Expansion:
    """Inputs that are told apart by number; what is not there is left out."""
    return {f"{name}.{i}": value for i, value in enumerate(values) if value is not None}


class LoopIteration(_LoopNode):
    """Gives the nodes of an iteration what the start of their loop has for them."""

    DEV_ONLY = True
    REQUIRED = inputs(index=("INT",), is_first=("BOOLEAN",), is_last=("BOOLEAN",))
    RETURN_TYPES = _OUTPUT_TYPES
    RETURN_NAMES = _OUTPUTS
    OUTPUT_IS_LIST = (False, False, False, False, True)
    ACCEPT_ALL_INPUTS: ClassVar[bool] = True

    @classmethod
    def IS_CHANGED(cls, is_cached: Values | None = None, **_: Values) -> float:
        """As the start of the loop."""
        return 0.0 if _first(is_cached) else nan

    def run(
        self,
        index: Values,
        place: Values,
        is_first: Values,
        is_last: Values,
        result: Values,
        shown: Values,
        dynprompt: Sequence[_Graph],
        value: Values | None = None,
        items: Values | None = None,
        **_: Values,
    ) -> tuple[Any, ...]:
        """Also shows at the start how many iterations are done."""
        total = dynprompt[0].get_node(result[0])["inputs"]["total"]
        self.context.reporter.text(shown[0], f"{place[0]}/{total}")
        item = None if items is None else _items(items)[place[0]]
        return index[0], is_first[0], is_last[0], item, [None] if value is None else value


class LoopResult(_LoopNode):
    """Joins what the iterations of a loop gave."""

    DEV_ONLY = True
    REQUIRED = inputs(total=("INT",))
    RETURN_TYPES = ("*",)
    RETURN_NAMES = ("outputs",)
    OUTPUT_IS_LIST = (True,)
    ACCEPT_ALL_INPUTS: ClassVar[bool] = True

    def run(self, **given: Values) -> tuple[Values]:
        """The values of each, in order."""
        names = (name for name in given if name.startswith("value."))
        ordered = sorted(names, key=lambda name: int(name.removeprefix("value.")))
        return ([value for name in ordered for value in given[name]],)


def _first(values: Values | None) -> Any:
    return values[0] if values else None
