"""Checks a submitted graph against the node definitions, before it is queued."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from executor.calls import ClassChecker
from executor.definitions import NodeDefinition
from executor.options import FileOptions


@dataclass(frozen=True, kw_only=True)
class ValidatedPrompt:
    """A graph that can run, at least in part."""

    prompt: dict[str, Any]  # the submitted graph with converted literals; key order kept
    outputs: tuple[str, ...]  # ids of the good output nodes, in graph order
    node_errors: dict[str, Any]  # the failed part, as in the answer to POST /prompt


class PromptRejected(Exception):
    """Nothing of the graph can run; `error` and `node_errors` are those of the 400 answer."""

    def __init__(self, error: dict[str, Any], node_errors: dict[str, Any] | None = None) -> None:
        super().__init__(error["message"])
        self.error = error
        self.node_errors = node_errors or {}


async def validate_prompt(
    prompt: object,
    definitions: Mapping[str, NodeDefinition],
    *,
    options: FileOptions,
    check: ClassChecker,
    targets: Collection[str] | None = None,
) -> ValidatedPrompt:
    """Validate a graph as parsed from JSON; raises PromptRejected.

    `targets` are the `partial_execution_targets`. The graph handed in is changed: literals are
    converted in place. `check` is awaited at most once, and only if a node's class has a check.
    """
    raise NotImplementedError
