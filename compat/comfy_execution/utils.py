"""Which node is running."""

from __future__ import annotations

from contextvars import Token
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple

from nodes.context import CURRENT, NodeContext


class ExecutionContext(NamedTuple):
    """The prompt, the node and the number of the call in it."""

    prompt_id: str
    node_id: str
    list_index: int | None


def get_executing_context() -> ExecutionContext | None:
    """What is running here; None outside of nodes."""
    context = CURRENT.get(None)
    if context is None:
        return None
    return ExecutionContext(context.prompt_id, context.node_id, context.list_index)


class CurrentNodeContext:
    """`with CurrentNodeContext(prompt_id, node_id):` what happens inside counts for that node."""

    def __init__(self, prompt_id: str, node_id: str, list_index: int | None = None) -> None:
        self.context = ExecutionContext(prompt_id, node_id, list_index)
        self._token: Token[NodeContext] | None = None

    def __enter__(self) -> CurrentNodeContext:
        outer = CURRENT.get(None)
        if outer is None:
            raise RuntimeError("CurrentNodeContext can only be used while a node runs")
        prompt_id, node_id, list_index = self.context
        self._token = CURRENT.set(
            replace(outer, prompt_id=prompt_id, node_id=node_id, list_index=list_index or 0)
        )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            CURRENT.reset(self._token)
