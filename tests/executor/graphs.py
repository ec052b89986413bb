"""Node classes and a validator for tests of submitted graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from executor.calls import CheckRequest, CheckResult
from executor.definitions import ClassCheck, NodeDefinition
from executor.folders import Folders
from executor.options import FileOptions
from executor.rules import RuleBook
from executor.validation import PromptRejected, ValidatedPrompt, validate_prompt

Graph = dict[str, Any]


def define(
    name: str,
    required: dict[str, Any] | None = None,
    output: Sequence[Any] = ("IMAGE",),
    *,
    optional: dict[str, Any] | None = None,
    hidden: dict[str, Any] | None = None,
    is_output: bool = False,
    check: ClassCheck | None = None,
    files: dict[str, str] | None = None,
) -> NodeDefinition:
    sections = {"required": required or {}, "optional": optional or {}, "hidden": hidden or {}}
    info = {"input": sections, "output": list(output), "output_node": is_output}
    return NodeDefinition(name=name, info=info, check=check, file_options=files or {})


IMAGE = {"image": ["IMAGE"]}
MANY = [f"choice {i}" for i in range(21)]
DEFINITIONS = [
    define("Make", output=["IMAGE", "MASK"]),
    define("Show", IMAGE, [], is_output=True),
    define("Invert", IMAGE),
    define("Mask", {"mask": ["MASK"]}),
    define("Any", {"any": ["*"]}),
    define("Number", {"i": ["INT", {"min": 0, "max": 10}]}, []),
    define(
        "Literals",
        {},
        optional={
            "i": ["INT", {"min": 0, "max": 10}],
            "f": ["FLOAT", {"min": 0.0, "max": 1.0}],
            "s": ["STRING"],
            "b": ["BOOLEAN"],
            "any": ["*"],
            "union": ["INT,FLOAT", {"min": 0}],
            "old": [["a", "b"]],
            "combo": ["COMBO", {"options": ["a", "b"]}],
            "many": [MANY, {}],
            "several": [["a", "b", "c"], {"multiselect": True}],
        },
        is_output=True,
    ),
    define("Choose", {"choice": ["COMBO", {"options": ["a"]}]}, [["a", "b"]]),
    define(
        "Checked",
        {"a": ["INT", {"max": 5}], "b": ["INT", {"max": 5}], "image": ["IMAGE"]},
        optional={"c": ["INT"]},
        hidden={"graph": "PROMPT", "id": "UNIQUE_ID"},
        check=ClassCheck(arguments=["a", "image", "id", "c"]),
        is_output=True,
    ),
    define(
        "CheckedAll",
        {"a": ["INT", {"max": 5}]},
        check=ClassCheck(arguments=[], takes_all=True),
        is_output=True,
    ),
    define(
        "CheckedTypes",
        IMAGE,
        check=ClassCheck(arguments=["input_types"]),
        is_output=True,
    ),
    define("Load", {"name": [[], {}]}, files={"name": "checkpoints"}, is_output=True),
    define(
        "Picture",
        {"image": [[], {}]},
        files={"image": "input_images"},
        check=ClassCheck(arguments=["image"]),
        is_output=True,
    ),
    define(
        "Branch",
        {
            "mode": [
                "COMFY_DYNAMICCOMBO_V3",
                {
                    "options": [
                        {"key": "none", "inputs": {}},
                        {"key": "size", "inputs": {"required": {"width": ["INT", {"min": 1}]}}},
                    ]
                },
            ]
        },
        is_output=True,
    ),
    define(
        "Grow",
        {
            "images": [
                "COMFY_AUTOGROW_V3",
                {
                    "template": {
                        "input": {"required": {"image": ["IMAGE", {}]}},
                        "prefix": "image",
                        "min": 2,
                        "max": 3,
                    }
                },
            ]
        },
        is_output=True,
    ),
]


class Validator:
    """`validate_prompt` with the definitions above, and what the classes were asked."""

    def __init__(self, base: Path) -> None:
        self.folders = Folders.build(base)
        self.folders.make()
        self.book = RuleBook({definition.name: definition for definition in DEFINITIONS})
        self.asked: list[CheckRequest] = []
        self.answer: Callable[[CheckRequest], CheckResult] = lambda request: CheckResult(ok=True)

    async def __call__(self, graph: Any, targets: list[str] | None = None) -> ValidatedPrompt:
        options = FileOptions(self.folders)
        return await validate_prompt(
            graph, self.book, options=options, check=self._check, targets=targets
        )

    async def rejection(self, graph: Any, targets: list[str] | None = None) -> PromptRejected:
        with pytest.raises(PromptRejected) as caught:
            await self(graph, targets)
        return caught.value

    async def error(self, graph: Any, node_id: str = "1") -> dict[str, Any]:
        """The only error of a node in a graph that is refused."""
        (error,) = (await self.rejection(graph)).node_errors[node_id]["errors"]
        assert isinstance(error, dict)
        return error

    async def _check(self, requests: Sequence[CheckRequest]) -> list[CheckResult]:
        self.asked.extend(requests)
        return [self.answer(request) for request in requests]


def node(class_type: str, **inputs: Any) -> Graph:
    return {"class_type": class_type, "inputs": inputs}


def literals(**inputs: Any) -> Graph:
    return {"1": node("Literals", **inputs)}
