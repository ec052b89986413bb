"""What a run has shown so far, and the node objects that outlive it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from executor.worker.cache import NodeName, UiResult
from executor.worker.calls import Arguments
from executor.worker.contract import Contract


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a run has shown, for history, and what it is doing, for error messages."""

    outputs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)  # nodes that ran to their end
    node_id: str | None = None  # the node at work
    arguments: Arguments = field(default_factory=dict)  # that it was called with

    def begin(self, node_id: str) -> None:
        """A node is at work now."""
        self.node_id = node_id
        self.arguments = {}

    def show(self, node_id: str, ui: UiResult | None) -> None:
        """A node shows something, or nothing."""
        if ui is not None:
            self.outputs[node_id] = ui.output
            self.meta[node_id] = ui.meta


class Instances:
    """Node objects, kept between prompts for as long as their node stays in the graph."""

    def __init__(self) -> None:
        self._objects: dict[NodeName, tuple[NodeName, Any]] = {}

    def begin(self, names: frozenset[NodeName]) -> None:
        """Drop the objects of nodes that the new graph lacks."""
        self._objects = {k: held for k, held in self._objects.items() if held[0] in names}

    def get(self, name: NodeName, root: NodeName, contract: Contract) -> Any:
        """The object of a node; `root` names the submitted node it comes from."""
        held = self._objects.get(name)
        if held is None:
            made = None if contract.is_v3 else contract.node_class()
            held = self._objects[name] = (root, made)
        return held[1]

    def clear(self) -> None:
        """Drop all."""
        self._objects.clear()
