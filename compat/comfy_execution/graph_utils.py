"""Builds the graph that an expanding node returns."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from executor.worker.graph import is_link
from nodes.blocker import ExecutionBlocker
from nodes.context import NodeContext, current_context

# The call in which a builder was made last, and how many were made in it. Being a context variable,
# it is apart for every async call.
_made: ContextVar[tuple[NodeContext | None, int]] = ContextVar("graph_builders", default=(None, 0))


def _next_prefix() -> str:
    """`<node>.<list index>.<nth builder in this call>.`: unique, and the same in every run."""
    try:
        context = current_context()
    except LookupError:
        raise RuntimeError(
            "outside of a running node a GraphBuilder needs a prefix: GraphBuilder(prefix='...')"
        ) from None
    last, count = _made.get()
    count = count if last is context else 0
    _made.set((context, count + 1))
    return f"{context.node_id}.{context.list_index}.{count}."


class Node:
    """A node that is being built."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = inputs
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to an output."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Set an input; None takes it away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """An input; None if it is not there."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Show the node at another one than the node that expands."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """The node of a graph."""
        node: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            node["override_display_id"] = self.override_display_id
        return node


class GraphBuilder:
    """`graph = GraphBuilder()`; `graph.node("ImageInvert", image=image).out(0)`."""

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = _next_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self._count = 0

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """Add a node; one that is there already is returned as it is."""
        if id is None:
            self._count += 1
            id = str(self._count)
        full_id = self.prefix + id
        if full_id not in self.nodes:
            self.nodes[full_id] = Node(full_id, class_type, kwargs)
        return self.nodes[full_id]

    def lookup_node(self, id: str) -> Node | None:
        """A node by its id without the prefix."""
        return self.nodes.get(self.prefix + id)

    def remove_node(self, id: str) -> None:
        """Take a node away, by its id without the prefix."""
        del self.nodes[self.prefix + id]

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Let what is linked to an output have another link or value; None takes inputs away."""
        old = [self.prefix + node_id, index]
        for node in self.nodes.values():
            for key in [key for key, value in node.inputs.items() if value == old]:
                node.set_input(key, new_value)

    def finalize(self) -> dict[str, dict[str, Any]]:
        """The graph: what goes under `expand`."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}


def add_graph_prefix(
    graph: dict[str, Any], outputs: Any, prefix: str
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """A graph, and links into it, with a prefix before every node id."""

    def moved(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    prefixed = {
        prefix + node_id: node
        | {"inputs": {key: moved(value) for key, value in node.get("inputs", {}).items()}}
        for node_id, node in graph.items()
    }
    return prefixed, tuple(moved(value) for value in outputs)


__all__ = ["ExecutionBlocker", "GraphBuilder", "Node", "add_graph_prefix", "is_link"]
