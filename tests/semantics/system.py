"""Node classes of a test from the description to the run, in the process of the test.

What a worker publishes of the classes is what graphs are checked against; a class's own check is
called as a worker calls it; what passes is run by the worker's engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.calls import CheckRequest, CheckResult
from executor.definitions import NodeDefinition
from executor.folders import Folders
from executor.options import FileOptions
from executor.rules import RuleBook
from executor.validation import PromptRejected, ValidatedPrompt, validate_prompt
from executor.worker.checks import validate_inputs
from executor.worker.contract import NodeClass
from executor.worker.describe import describe_all
from tests.executor.worker.harness import BASIC, Bench, Result

Graph = dict[str, Any]


class System:
    """Some node classes beside the basic ones, ready to be submitted to."""

    def __init__(self, base: Path, **classes: NodeClass) -> None:
        self.classes: Mapping[str, NodeClass] = BASIC | classes
        published = msgspec.msgpack.encode(describe_all(self.classes, {}))
        self.definitions = {
            x.name: x for x in msgspec.msgpack.decode(published, type=list[NodeDefinition])
        }
        self.bench = Bench(self.classes)
        self._book = RuleBook(self.definitions)
        self._options = FileOptions(Folders.build(base))

    async def validate(self, graph: Graph, targets: list[str] | None = None) -> ValidatedPrompt:
        """Check a graph; raises PromptRejected."""
        return await validate_prompt(
            graph, self._book, options=self._options, check=self._check, targets=targets
        )

    async def errors(self, graph: Graph) -> dict[str, list[dict[str, Any]]]:
        """The errors of the nodes of a graph of which nothing can run."""
        with pytest.raises(PromptRejected) as caught:
            await self.validate(graph)
        return {key: entry["errors"] for key, entry in caught.value.node_errors.items()}

    async def run(self, graph: Graph, targets: list[str] | None = None) -> Result:
        """Check a graph that is good at least in part, and run its good outputs."""
        valid = await self.validate(graph, targets)
        prompt = msgspec.json.decode(valid.encode())
        return self.bench.run(prompt, *valid.outputs)

    async def shown(self, graph: Graph) -> Any:
        """What the only output node shows as text."""
        finished = (await self.run(graph)).finished
        assert finished.succeeded, finished.messages[-1]
        ((ui),) = finished.outputs.values()
        return ui["text"]

    async def _check(self, requests: Sequence[CheckRequest]) -> list[CheckResult]:
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(requests), type=list[CheckRequest])
        return [await asyncio.to_thread(validate_inputs, self.classes, x) for x in sent]
