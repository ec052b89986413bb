"""An engine over node classes that a test defines, and what it reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from executor.folders import Folders
from executor.messages import Emit, Event, Execute, Finished
from executor.worker.cache import ClassicCache, ResultCache
from executor.worker.contract import NodeClass
from executor.worker.engine import Engine
from executor.worker.interruptions import Interruptions
from nodes.context import NodeSettings, Services


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node of a graph."""
    return {"class_type": class_type, "inputs": inputs}


@dataclass
class Result:
    """What one run reported."""

    events: list[Event]

    @property
    def finished(self) -> Finished:
        """The last event."""
        return cast(Finished, self.events[-1])

    @property
    def messages(self) -> list[tuple[str, dict[str, Any]]]:
        """The client messages, in order."""
        texts = [json.loads(event.text) for event in self.events if isinstance(event, Emit)]
        return [(text["type"], text["data"]) for text in texts]

    def of(self, *types: str) -> list[dict[str, Any]]:
        """The bodies of the messages of these types."""
        return [body for message_type, body in self.messages if message_type in types]

    @property
    def types(self) -> list[str]:
        """The types of the messages, in order."""
        return [message_type for message_type, _ in self.messages]

    @property
    def executing(self) -> list[str]:
        """The nodes that started, in order."""
        return [body["node"] for body in self.of("executing")]

    @property
    def cached(self) -> list[str]:
        """The nodes that had a result before the run."""
        nodes: list[str] = self.of("execution_cached")[0]["nodes"]
        return nodes

    @property
    def error(self) -> dict[str, Any]:
        """The error that ended the run."""
        assert not self.finished.succeeded
        return self.finished.messages[-1][1]


@dataclass
class Bench:
    """An engine, and a list for nodes to write into."""

    classes: Mapping[str, NodeClass]
    cache: ResultCache = field(default_factory=ClassicCache)
    settings: NodeSettings = field(default_factory=NodeSettings)
    on_out_of_memory: Callable[[], None] | None = None
    interruptions: Interruptions | None = None
    most_pending_saves: int = 0

    def __post_init__(self) -> None:
        self.engine = Engine(
            self.classes,
            services=Services(folders=Folders.build(Path("/nowhere")), settings=self.settings),
            cache=self.cache,
            on_out_of_memory=self.on_out_of_memory,
            interruptions=self.interruptions,
            most_pending_saves=self.most_pending_saves,
        )

    def run(
        self,
        graph: dict[str, Any],
        *outputs: str,
        extra_data: dict[str, Any] | None = None,
        secrets: dict[str, str] | None = None,
        prompt_id: str = "p",
    ) -> Result:
        """Run a graph for these output nodes; by default all of class Show."""
        wanted = list(outputs) or [k for k, v in graph.items() if v["class_type"] == "Show"]
        events: list[Event] = []
        command = Execute(
            prompt_id=prompt_id,
            prompt=graph,
            outputs=wanted,
            extra_data=extra_data or {},
            secrets=secrets or {},
        )
        self.engine.execute(command, events.append)
        assert isinstance(events[-1], Finished)
        return Result(events)


ANY = ("*",)


class Value:
    """Gives its literal."""

    RETURN_TYPES: tuple[str, ...] = ("*",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """One input."""
        return {"required": {"value": ANY}}

    def run(self, value: Any) -> tuple[Any]:
        """The value itself."""
        return (value,)


class Join(Value):
    """Gives a tuple of up to three inputs."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Optional inputs."""
        return {"required": {}, "optional": {"a": ANY, "b": ANY, "c": ANY}}

    def run(self, **values: Any) -> tuple[Any]:  # type: ignore[override]
        """What is there, by name."""
        return (values,)


class Show:
    """Shows its input as text."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """One input."""
        return {"required": {"value": ANY}}

    def run(self, value: Any) -> dict[str, Any]:
        """One text."""
        return {"ui": {"text": [str(value)]}}


class Quiet(Show):
    """An output node that shows nothing."""

    def run(self, value: Any) -> None:  # type: ignore[override]
        """Nothing."""


class Fail(Value):
    """Raises."""

    def run(self, value: Any) -> tuple[Any]:
        """Raise."""
        raise ValueError(f"cannot take {value}")


BASIC: dict[str, NodeClass] = {
    "Value": Value,
    "Join": Join,
    "Show": Show,
    "Quiet": Quiet,
    "Fail": Fail,
}
