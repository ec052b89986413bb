"""The pack of V3 nodes in this process: validated as the server does, run as the worker does."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from executor.calls import CheckRequest, CheckResult
from executor.definitions import NodeDefinition
from executor.folders import Folders
from executor.messages import Execute, Preview
from executor.options import FileOptions
from executor.rules import RuleBook
from executor.validation import PromptRejected, ValidatedPrompt, validate_prompt
from executor.worker.cache import ClassicCache
from executor.worker.checks import validate_inputs
from executor.worker.contract import NodeClass
from executor.worker.describe import describe
from executor.worker.engine import Engine
from executor.worker.extensions import extension_nodes, names_of
from nodes.context import NodeSettings, Services
from nodes.registry import NODE_CLASSES
from tests.executor.worker.harness import BASIC, Result, node

PACK = Path(__file__).parents[2] / "packs" / "v3_pack"


@contextmanager
def loaded_pack() -> Iterator[ModuleType]:
    """The pack, imported anew."""
    spec = importlib.util.spec_from_file_location(
        "v3_pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["v3_pack"] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "v3_pack"]:
            del sys.modules[name]


class V3Bench:
    """Validates and runs graphs of the pack's nodes, ours, and a few of tests."""

    def __init__(self, module: ModuleType, base: Path) -> None:
        self.module = module
        self.folders = Folders.build(base)
        self.folders.make()
        nodes = {names_of(node)[0]: node for node in extension_nodes(module)}
        self.classes: dict[str, NodeClass] = {**NODE_CLASSES, **BASIC, **nodes}
        self.definitions = {
            name: describe(name, node_class, name) for name, node_class in self.classes.items()
        }
        self.settings = NodeSettings()
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """One engine, made with the settings as they are at its first use."""
        if self._engine is None:
            services = Services(folders=self.folders, settings=self.settings)
            self._engine = Engine(self.classes, services=services, cache=ClassicCache())
        return self._engine

    def part(self, name: str) -> Any:
        """A module of the pack."""
        return sys.modules[f"v3_pack.{name}"]

    def info(self, name: str) -> dict[str, Any]:
        """An entry of GET /object_info, as clients get it."""
        sent: NodeDefinition = self.definitions[name]
        info: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(sent.info))
        return info

    async def validate(self, graph: dict[str, Any]) -> ValidatedPrompt:
        """As POST /prompt does; definitions cross to the server as plain data."""
        packed = msgspec.msgpack.encode(list(self.definitions.values()))
        definitions = msgspec.msgpack.decode(packed, type=list[NodeDefinition])
        return await validate_prompt(
            graph,
            RuleBook({definition.name: definition for definition in definitions}),
            options=FileOptions(self.folders),
            check=self._check,
        )

    async def _check(self, requests: Sequence[CheckRequest]) -> list[CheckResult]:
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(requests), type=list[CheckRequest])
        return [await asyncio.to_thread(validate_inputs, self.classes, x) for x in sent]

    async def errors(self, graph: dict[str, Any], node_id: str = "1") -> list[dict[str, Any]]:
        """The errors of a node in a graph that is refused."""
        try:
            await self.validate(graph)
        except PromptRejected as rejected:
            errors: list[dict[str, Any]] = rejected.node_errors[node_id]["errors"]
            return errors
        raise AssertionError("the graph was accepted")

    async def run(self, graph: dict[str, Any], **more: Any) -> Result:
        """Validate a graph, and run what can be run of it."""
        valid = await self.validate(graph)
        assert not valid.node_errors, valid.node_errors
        return await asyncio.to_thread(self.execute, valid, more)

    def execute(self, valid: ValidatedPrompt, more: dict[str, Any]) -> Result:
        """Run a graph that was validated."""
        events: list[Any] = []
        prompt = msgspec.json.decode(valid.encode())
        command = Execute(
            prompt_id="p", prompt=prompt, outputs=list(valid.outputs), **{"extra_data": {}, **more}
        )
        self.engine.execute(command, events.append)
        return Result(events)

    async def value(self, class_type: str, _more: Any = None, **inputs: Any) -> Any:
        """What a node gives at its first output, as text of a dictionary and so on."""
        result = await self.run(graph_of(class_type, **inputs), **(_more or {}))
        assert result.finished.succeeded, result.error
        (text,) = result.finished.outputs["show"]["text"]
        return eval(text)


def graph_of(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node, and another that shows its first output."""
    return {"1": node(class_type, **inputs), "show": node("Show", value=["1", 0])}


def previews(result: Result) -> list[Preview]:
    """The previews of a run."""
    return [event for event in result.events if isinstance(event, Preview)]
