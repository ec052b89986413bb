"""What can go wrong with a graph at run time, apart from exceptions of the nodes themselves.

EngineError
├── NodeInputError        a node asks for, or links to, something that is not there
├── DependencyCycleError  nodes wait for each other
├── DuplicateNodeError    an expansion re-uses a node id
├── ResultError           a node returned something that is no result
└── UnknownNodeClass      an expansion names a class that is not loaded
"""

from __future__ import annotations

LONGEST_TEXT = 64 * 1024  # characters of a value in a message


class EngineError(Exception):
    """A graph cannot be run as it is."""

    wire_name: str | None = None  # the exception type that clients are told, if it is documented


class NodeInputError(EngineError):
    """A node asks for, or links to, something that is not there."""

    wire_name = "comfy_execution.graph.NodeInputError"


class DependencyCycleError(EngineError):
    """Nodes wait for each other."""

    wire_name = "graph.DependencyCycleError"

    def __init__(self, node_ids: list[str]) -> None:
        chain = " -> ".join([*node_ids, node_ids[0]])
        super().__init__(f"these nodes wait for each other: {chain}; remove one of the links")
        self.node_ids = node_ids


class DuplicateNodeError(EngineError):
    """An expansion re-uses a node id."""

    def __init__(self, node_id: str) -> None:
        super().__init__(f"the expansion adds node '{node_id}', but the graph has one already")
        self.node_id = node_id


class ResultError(EngineError, TypeError):
    """A node returned something that is no result."""

    wire_name = "TypeError"


class UnknownNodeClass(EngineError):
    """A class that no loaded node has."""

    def __init__(self, class_type: object, node_id: str) -> None:
        super().__init__(f"node '{node_id}' is of class {class_type!r}, which is not loaded")
        self.class_type = class_type
        self.node_id = node_id


def type_name(error: BaseException) -> str:
    """How clients are told the type of an exception: `module.Class`, builtins without module."""
    if isinstance(error, EngineError) and error.wire_name:
        return error.wire_name
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def printable(value: object) -> str:
    """The value as text that a message can carry, whatever its class makes of that."""
    try:
        text = str(value)
    except BaseException as error:  # also SystemExit
        text = f"<{type(value).__name__} that cannot be printed: {type(error).__name__}>"
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]} ... ({len(text) - LONGEST_TEXT} more characters)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # halves of surrogate pairs
