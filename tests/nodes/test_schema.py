"""Classes that are described by a schema: what clients see, and how they are called."""

from __future__ import annotations

from typing import Any

from executor.worker.describe import describe
from nodes.base import inputs
from nodes.schema import DynamicNode, SchemaNode, growing, opening
from tests.executor.worker.harness import BASIC, Bench, node


class Painted(SchemaNode):
    REQUIRED = inputs(image=("IMAGE",), how=(["wet", "dry"], {"default": "dry"}))
    HIDDEN = (("prompt", "PROMPT"),)
    RETURN_TYPES = ("IMAGE",)
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_paint"

    def run(self, image: Any, how: str, prompt: Any = None) -> tuple[Any]:
        return (image,)


class Gathered(DynamicNode):
    REQUIRED = inputs(
        values=growing("value", ("INT", {}), names="v", least=1, most=3),
        how=opening({"plain": inputs(), "scaled": inputs(by=(["2", "3"], {}))}),
    )
    RETURN_TYPES = ("INT",)

    def run(self, values: dict[str, int], how: dict[str, Any]) -> tuple[str]:
        return (f"{values} {how}",)


def test_choices_and_hidden_inputs_are_described_as_schemas_do() -> None:
    info = describe("Painted", Painted, "not used").info
    assert info["input"]["required"] == {
        "image": ["IMAGE", {}],
        "how": ["COMBO", {"multiselect": False, "options": ["wet", "dry"], "default": "dry"}],
    }
    assert info["input"]["hidden"] == {"prompt": ["PROMPT"]}
    assert info["name"] == "Painted"
    assert (info["display_name"], info["api_node"], info["output_matchtypes"]) == (
        None,
        False,
        None,
    )


def test_inputs_inside_of_dynamic_ones_are_described_as_well() -> None:
    required = describe("Gathered", Gathered, "").info["input"]["required"]
    template = required["values"][1]["template"]
    assert template == {
        "input": {"required": {"value": ["INT", {}]}},
        "prefix": "v",
        "min": 1,
        "max": 3,
    }
    assert required["how"][1]["options"] == [
        {"key": "plain", "inputs": {}},
        {
            "key": "scaled",
            "inputs": {
                "required": {"by": ["COMBO", {"multiselect": False, "options": ["2", "3"]}]}
            },
        },
    ]


def test_dynamic_inputs_of_a_graph_reach_the_node_nested_and_in_order() -> None:
    given = {"values.v1": 5, "values.v0": 4, "how": "scaled", "how.by": "3"}
    result = Bench({**BASIC, "Gathered": Gathered}).run(
        {"1": node("Gathered", **given), "2": node("Show", value=["1", 0])}
    )
    (text,) = result.finished.outputs["2"]["text"]
    assert text == "{'v0': 4, 'v1': 5} {'how': 'scaled', 'by': '3'}"


def test_a_group_without_members_is_empty_and_a_choice_may_open_nothing() -> None:
    assert Gathered().run_flat(how="plain") == ("{} {'how': 'plain'}",)


def test_a_dynamic_node_is_called_on_the_class_with_nested_inputs() -> None:
    assert Gathered.execute({"v0": 1}, {"how": "plain"}) == ("{'v0': 1} {'how': 'plain'}",)


def test_hidden_inputs_are_arguments() -> None:
    seen = []

    class Watched(Painted):
        OUTPUT_NODE = True

        def run(self, image: Any, how: str, prompt: Any = None) -> tuple[Any]:
            seen.append(prompt["1"]["class_type"])
            return (image,)

    Bench({"Watched": Watched}).run({"1": node("Watched", image=0, how="wet")}, "1")
    assert seen == ["Watched"]
