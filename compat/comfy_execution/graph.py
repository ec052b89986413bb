"""The graph of a run, as nodes get it as DYNPROMPT, and what goes wrong in it."""

from __future__ import annotations

from typing import Any

from executor.worker.errors import DependencyCycleError, NodeInputError
from executor.worker.graph import PromptGraph as DynamicPrompt
from nodes.blocker import ExecutionBlocker

NodeNotFoundError = NodeInputError


def get_input_info(
    class_def: Any, input_name: str, valid_inputs: dict[str, Any] | None = None
) -> tuple[Any, str | None, dict[str, Any] | None]:
    """Type, section and options of a declared input; three times None if it is not declared."""
    types = valid_inputs or class_def.INPUT_TYPES()
    for section in ("required", "optional", "hidden"):
        declared = types.get(section, {}).get(input_name)
        if declared is None:
            continue
        if isinstance(declared, str):
            return declared, section, {}
        return declared[0], section, declared[1] if len(declared) > 1 else {}
    return None, None, None


class TopologicalSort:
    """The reference's order of nodes; ours is `executor.worker.schedule`."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            f"comfy_execution.graph.{type(self).__name__}: Darkroom orders nodes in another way; "
            "use the hidden input DYNPROMPT to look at the graph"
        )


class ExecutionList(TopologicalSort):
    """As TopologicalSort."""


__all__ = [
    "DependencyCycleError",
    "DynamicPrompt",
    "ExecutionBlocker",
    "ExecutionList",
    "NodeInputError",
    "NodeNotFoundError",
    "TopologicalSort",
    "get_input_info",
]
