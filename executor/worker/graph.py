"""The graph of one run: the submitted nodes plus those that expansions add."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from executor.loops import Loop, loop_of
from executor.worker.errors import DuplicateNodeError, NodeInputError, ResultError

JsonObject = dict[str, Any]

LITERAL_KEY = "__value__"  # {"__value__": X} is the literal X, even where X looks like a link


@dataclass(frozen=True, slots=True)
class Link:
    """One input that comes from another node."""

    name: str  # of the input
    producer: str  # node id
    index: int  # of the producer's output


def is_link(value: object) -> bool:
    """Whether a graph value has the form of a link: `[node id, output index]`."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
        and not isinstance(value[1], bool)
        and math.isfinite(value[1])
    )


def literal(value: Any) -> Any:
    """The value that a node gets for an input that is no link."""
    if isinstance(value, dict) and len(value) == 1 and LITERAL_KEY in value:
        return value[LITERAL_KEY]
    return value


class PromptGraph:
    """All nodes of a run by id. Its public methods are what nodes get as DYNPROMPT."""

    def __init__(self, prompt: JsonObject) -> None:
        self._original = prompt
        self._added: dict[str, JsonObject] = {}
        self._parents: dict[str, str] = {}
        self._real: dict[str, str] = {}  # added node -> the submitted one that it comes from
        self._display: dict[str, str] = {}  # added node -> one at which it is shown, or nearer
        self._links: dict[str, list[Link]] = {}

    def get_node(self, node_id: str) -> JsonObject:
        """A node; raises NodeInputError if there is none."""
        node = self._added.get(node_id) or self._original.get(node_id)
        if node is None:
            raise NodeInputError(f"there is no node '{node_id}' in the graph")
        return node

    def has_node(self, node_id: str) -> bool:
        """Whether a node of that id is in the graph."""
        return node_id in self._original or node_id in self._added

    def all_node_ids(self) -> set[str]:
        """The ids of the submitted and the added nodes."""
        return {*self._original, *self._added}

    def get_original_prompt(self) -> JsonObject:
        """The graph as submitted."""
        return self._original

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node whose expansion added this one; None for a submitted node."""
        return self._parents.get(node_id)

    def get_real_node_id(self, node_id: str) -> str:
        """The submitted node that this one comes from."""
        return self._real.get(node_id, node_id)

    def get_display_node_id(self, node_id: str) -> str:
        """The submitted node at which clients show this one."""
        path: list[str] = []
        shown = node_id
        while shown in self._added:
            path.append(shown)
            shown = self._display[shown]
            if len(path) > len(self._added):  # overrides that name each other
                shown = self.get_real_node_id(node_id)
        for passed in path:  # loops nest deeply: the next look-up is to be a short one
            self._display[passed] = shown
        return shown

    def loop_at(self, end_id: str) -> Loop:
        """The loop that a node ends; raises LoopError."""

        def edges(node_id: str) -> list[tuple[str, str]]:
            return [(link.name, link.producer) for link in self.links(node_id)]

        return loop_of(end_id, lambda node_id: self.get_node(node_id)["class_type"], edges)

    def add(self, parent: str, nodes: Mapping[str, JsonObject]) -> None:
        """Add the nodes of an expansion.

        Raises DuplicateNodeError, NodeInputError, or ResultError for what is no graph.
        """
        _check_form(nodes)
        for node_id in nodes:
            if self.has_node(node_id):
                raise DuplicateNodeError(node_id)
        for node_id, node in nodes.items():
            self._added[node_id] = node
            self._parents[node_id] = parent
            self._real[node_id] = self.get_real_node_id(parent)
            self._display[node_id] = node.get("override_display_id") or parent
        for node_id, node in nodes.items():
            self._check_links(node_id, node)

    def _check_links(self, node_id: str, node: JsonObject) -> None:
        for name, value in node.get("inputs", {}).items():
            if is_link(value) and not self.has_node(value[0]):
                raise NodeInputError(
                    f"input '{name}' of the added node '{node_id}' links to node '{value[0]}', "
                    "which is not in the graph"
                )

    def links(self, node_id: str) -> list[Link]:
        """The inputs of a node that come from other nodes, in the node's order.

        A list in the form of a link to a node that does not exist is a literal: validation lets
        such a list through only where it was meant as one.
        """
        links = self._links.get(node_id)
        if links is None:
            links = self._links[node_id] = [
                Link(name, value[0], int(value[1]))
                for name, value in self.get_node(node_id).get("inputs", {}).items()
                if is_link(value) and self.has_node(value[0])
            ]
        return links


def original_nodes(prompt: Mapping[str, JsonObject]) -> JsonObject:
    """A copy of the submitted nodes for one run.

    `is_changed` of a node is dropped: a graph read from a saved picture carries the value of the
    run that made the picture, and files may have changed since. Nodes that no output needs were
    not validated: what they have in place of inputs counts as none.
    """
    return {node_id: _original_node(node) for node_id, node in prompt.items()}


def _original_node(node: JsonObject) -> JsonObject:
    kept = {key: value for key, value in node.items() if key != "is_changed"}
    if not isinstance(kept.get("inputs", {}), dict):
        kept["inputs"] = {}
    return kept


def _check_form(nodes: Mapping[str, JsonObject]) -> None:
    """Raise ResultError unless these are nodes by id, as a node has to return them."""
    if not isinstance(nodes, Mapping):
        raise ResultError(f"the expansion is no graph but {type(nodes).__name__}")
    for node_id, node in nodes.items():
        if not _is_text(node_id):
            raise ResultError(f"the expansion has a node with the id {node_id!r}, which is no text")
        if not isinstance(node, Mapping) or not isinstance(node.get("inputs", {}), Mapping):
            raise ResultError(
                f"the added node '{node_id}' has not the form "
                '{"class_type": name, "inputs": {name: value}}'
            )
        display = node.get("override_display_id")
        if display is not None and not _is_text(display):
            raise ResultError(
                f"the added node '{node_id}' has the override_display_id {display!r}, "
                "which is no text"
            )


def _is_text(value: object) -> bool:
    """Whether this is a string that a message can carry (halves of surrogate pairs are not)."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def producers(links: Iterable[Link]) -> list[str]:
    """The ids of the nodes that these links come from, each once, in order."""
    return list(dict.fromkeys(link.producer for link in links))
