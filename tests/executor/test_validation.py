"""Every way in which a submitted graph can be wrong, and what clients are told."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
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


@pytest.fixture
def validate(tmp_path: Path) -> Validator:
    return Validator(tmp_path)


def node(class_type: str, **inputs: Any) -> Graph:
    return {"class_type": class_type, "inputs": inputs}


def literals(**inputs: Any) -> Graph:
    return {"1": node("Literals", **inputs)}


# The prompt as a whole


async def test_a_good_graph_passes_as_it_is(validate: Validator) -> None:
    graph = {"2": node("Show", image=["1", 0]), "1": node("Make"), "unused": node("Invert")}
    original = copy.deepcopy(graph)

    valid = await validate(graph)

    assert valid.prompt == original
    assert list(valid.prompt) == ["2", "1", "unused"]
    assert valid.outputs == ("2",)
    assert valid.node_errors == {}


@pytest.mark.parametrize("graph", [None, "text", 3, [1]])
async def test_a_prompt_that_is_no_object_is_invalid(validate: Validator, graph: Any) -> None:
    rejected = await validate.rejection(graph)

    assert rejected.error["type"] == "invalid_prompt"
    assert rejected.error["extra_info"] == {}
    assert rejected.node_errors == {}


@pytest.mark.parametrize(
    "bad",
    ["text", None, [], {}, {"inputs": {}}, {"class_type": "Nope"}, {"class_type": ["Show"]}],
)
async def test_the_first_node_that_is_none_is_named(validate: Validator, bad: Any) -> None:
    rejected = await validate.rejection({"1": node("Make"), "7": bad, "8": {}})

    assert rejected.error["type"] == "invalid_prompt"
    assert rejected.error["details"] == "Node ID '#7'"
    assert rejected.error["extra_info"] == {}
    assert rejected.node_errors == {}


async def test_the_message_names_an_unknown_class(validate: Validator) -> None:
    rejected = await validate.rejection({"1": {"class_type": "NoSuchClass"}})

    assert "NoSuchClass" in rejected.error["message"]


@pytest.mark.parametrize("graph", [{}, [], {"1": {"class_type": "Make", "inputs": {}}}])
async def test_a_prompt_without_outputs_is_refused(validate: Validator, graph: Any) -> None:
    rejected = await validate.rejection(graph)

    assert rejected.error == {
        "type": "prompt_no_outputs",
        "message": rejected.error["message"],
        "details": "",
        "extra_info": {},
    }
    assert rejected.node_errors == {}


async def test_targets_choose_among_the_outputs(validate: Validator) -> None:
    graph = {"1": node("Make"), "2": node("Show", image=["1", 0]), "3": node("Show")}

    assert (await validate(graph, ["2", "1", "unknown"])).outputs == ("2",)
    rejected = await validate.rejection(graph, [])
    assert rejected.error["type"] == "prompt_no_outputs"


async def test_good_outputs_run_although_others_fail(validate: Validator) -> None:
    graph = {
        "bad": node("Show", image=["worse", 0]),
        "worse": node("Invert"),
        "good": node("Show", image=["1", 0]),
        "1": node("Make"),
    }

    valid = await validate(graph)

    assert valid.outputs == ("good",)
    assert list(valid.node_errors) == ["worse"]
    assert valid.node_errors["worse"]["dependent_outputs"] == ["bad"]
    assert valid.node_errors["worse"]["class_type"] == "Invert"


async def test_only_outputs_that_depend_on_a_bad_node_are_listed(validate: Validator) -> None:
    graph = {
        "a": node("Show", image=["x", 0]),
        "b": node("Show", image=["y", 0]),
        "c": node("Show", image=["mid", 0]),
        "mid": node("Invert", image=["y", 0]),
        "x": node("Invert"),
        "y": node("Invert"),
    }

    rejected = await validate.rejection(graph)

    assert rejected.node_errors["x"]["dependent_outputs"] == ["a"]
    assert rejected.node_errors["y"]["dependent_outputs"] == ["b", "c"]
    assert rejected.error["type"] == "prompt_outputs_failed_validation"
    assert rejected.error["details"] == ""
    assert "mid" not in rejected.node_errors


async def test_errors_of_the_outputs_themselves_are_summed_up(validate: Validator) -> None:
    graph = {"1": node("Show"), "2": node("Show", image=[1])}

    rejected = await validate.rejection(graph)

    lines = rejected.error["details"].split("\n")
    errors = [rejected.node_errors[i]["errors"][0] for i in ("1", "2")]
    assert lines == [f"{error['message']}: {error['details']}" for error in errors]


async def test_several_inputs_give_several_errors_in_order_of_declaration(
    validate: Validator,
) -> None:
    graph = literals(combo="z", f="x", i=-1)

    rejected = await validate.rejection(graph)

    errors = rejected.node_errors["1"]["errors"]
    assert [e["extra_info"]["input_name"] for e in errors] == ["i", "f", "combo"]


# Links


async def test_a_missing_required_input_is_an_error(validate: Validator) -> None:
    error = await validate.error({"1": node("Show")})

    assert error["type"] == "required_input_missing"
    assert error["details"] == "image"
    assert error["extra_info"] == {"input_name": "image"}


@pytest.mark.parametrize("value", [[], ["1"], ["1", 0, 0]])
async def test_a_list_that_is_no_link_is_an_error(validate: Validator, value: Any) -> None:
    error = await validate.error({"1": node("Show", image=value)})

    assert error["type"] == "bad_linked_input"
    assert error["details"] == "image"
    assert error["extra_info"] == {
        "input_name": "image",
        "input_config": ["IMAGE", {}],
        "received_value": value,
    }


async def test_a_link_of_another_type_is_an_error(validate: Validator) -> None:
    error = await validate.error({"1": node("Show", image=["2", 1]), "2": node("Make")})

    assert error["type"] == "return_type_mismatch"
    assert error["details"] == "image, received_type(MASK) mismatch input_type(IMAGE)"
    assert error["extra_info"] == {
        "input_name": "image",
        "input_config": ["IMAGE", {}],
        "received_type": "MASK",
        "linked_node": ["2", 1],
    }


async def test_a_list_of_options_may_be_linked_to_a_combo(validate: Validator) -> None:
    graph = {
        "1": node("Literals", combo=["2", 0]),
        "2": node("Choose", choice="a"),
    }
    assert (await validate(graph)).outputs == ("1",)


@pytest.mark.parametrize(
    ("graph", "kind"),
    [
        ({"1": node("Show", image=["9", 0])}, "KeyError"),
        ({"1": node("Show", image=[2, 0]), "2": node("Make")}, "KeyError"),
        ({"1": node("Show", image=[["2"], 0]), "2": node("Make")}, "KeyError"),
        ({"1": node("Show", image=["2", 2]), "2": node("Make")}, "IndexError"),
        ({"1": node("Show", image=["2", -1]), "2": node("Make")}, "IndexError"),
        ({"1": node("Show", image=["2", "0"]), "2": node("Make")}, "TypeError"),
        ({"1": node("Show", image=["2", True]), "2": node("Make")}, "TypeError"),
        ({"1": {"class_type": "Show"}}, "KeyError"),
        ({"1": {"class_type": "Show", "inputs": []}}, "TypeError"),
        ({"1": node("Show", image=["2", 0]), "2": {"class_type": "Invert"}}, "KeyError"),
        ({"1": node("Literals", union="text")}, "TypeError"),
    ],
)
async def test_a_broken_graph_is_filed_under_the_output(
    validate: Validator, graph: Graph, kind: str
) -> None:
    rejected = await validate.rejection(graph)

    assert list(rejected.node_errors) == ["1"]
    (error,) = rejected.node_errors["1"]["errors"]
    assert error["type"] == "exception_during_validation"
    assert error["extra_info"] == {"exception_type": kind, "traceback": []}
    assert error["details"] in rejected.error["details"]
    assert rejected.node_errors["1"]["dependent_outputs"] == ["1"]


async def test_a_broken_link_does_not_hide_other_errors(validate: Validator) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Invert", image=["3", 0]),
        "3": node("Invert", image=["9", 0]),
        "4": node("Literals", i=99),
    }

    rejected = await validate.rejection(graph)

    assert list(rejected.node_errors) == ["1", "4"]


@pytest.mark.parametrize(
    ("links", "shown"),
    [
        ({"2": "2"}, "2 -> 2"),
        ({"2": "3", "3": "2"}, "2 -> 3 -> 2"),
        ({"2": "3", "3": "4", "4": "3"}, "3 -> 4 -> 3"),
    ],
)
async def test_the_nodes_of_a_cycle_are_named(
    validate: Validator, links: dict[str, str], shown: str
) -> None:
    graph = {"1": node("Show", image=["2", 0])}
    graph |= {name: node("Invert", image=[producer, 0]) for name, producer in links.items()}

    rejected = await validate.rejection(graph)

    assert rejected.error["type"] == "prompt_outputs_failed_validation"
    assert f"the nodes {shown} form a cycle" in rejected.error["details"]
    (error,) = rejected.node_errors["1"]["errors"]
    assert error["extra_info"]["exception_type"] == "DependencyCycleError"


async def test_an_output_that_reaches_a_cycle_late_fails_too(validate: Validator) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Invert", image=["3", 0]),
        "3": node("Invert", image=["2", 0]),
        "late": node("Show", image=["3", 0]),
    }
    rejected = await validate.rejection(graph)

    assert list(rejected.node_errors) == ["1", "late"]


async def test_two_ways_to_one_node_are_no_cycle(validate: Validator) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Any", any=["3", 0]),
        "3": node("Make"),
        "4": node("Show", image=["2", 0]),
        "5": node("Literals", any=["3", 0], i=["2", 0]),
    }
    graph["5"]["inputs"]["i"] = 3

    assert (await validate(graph)).outputs == ("1", "4", "5")


async def test_undeclared_inputs_are_never_an_error(validate: Validator) -> None:
    graph = {"1": node("Make", extra=["9", 0], more=[1, 2, 3]), "2": node("Show", image=["1", 0])}

    assert (await validate(graph)).outputs == ("2",)


# Literals


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("i", "3", 3),
        ("i", 3.7, 3),
        ("i", True, 1),
        ("f", "0.5", 0.5),
        ("f", 1, 1.0),
        ("s", 123, "123"),
        ("s", None, "None"),
        ("b", "false", True),
        ("b", 0, False),
        ("any", {"k": [1]}, {"k": [1]}),
        ("union", 2, 2),
        ("old", "a", "a"),
        ("combo", "b", "b"),
        ("any", {"__value__": 3}, 3),
        ("any", {"__value__": {"a": 1}}, {"a": 1}),
        ("i", {"__value__": "3"}, 3),
        ("any", {"__value__": ["unknown", 0]}, {"__value__": ["unknown", 0]}),
        ("any", {"__value__": {"__value__": 1}}, {"__value__": {"__value__": 1}}),
        ("s", {"__value__": ["1", 0]}, "['1', 0]"),
        ("several", {"__value__": ["a", "c"]}, {"__value__": ["a", "c"]}),
        ("several", "a", "a"),
    ],
)
async def test_literals_are_converted_in_the_stored_graph(
    validate: Validator, name: str, given: Any, stored: Any
) -> None:
    valid = await validate(literals(**{name: given}))

    kept = valid.prompt["1"]["inputs"][name]
    assert kept == stored
    assert type(kept) is type(stored)
    assert msgspec.json.decode(valid.encode()) == valid.prompt


@pytest.mark.parametrize(
    ("name", "value"),
    [("i", "abc"), ("i", None), ("i", {}), ("i", "1" * 5000), ("f", None), ("f", "x")],
)
async def test_a_literal_that_cannot_be_converted_is_an_error(
    validate: Validator, name: str, value: Any
) -> None:
    error = await validate.error(literals(**{name: value}))

    assert error["type"] == "invalid_input_type"
    info = error["extra_info"]
    assert error["details"] == f"{name}, {value}, {info['exception_message']}"
    assert info["input_name"] == name
    assert info["received_value"] == value
    assert info["input_config"][0] in ("INT", "FLOAT")


@pytest.mark.parametrize(
    ("name", "value", "kind", "bound"),
    [
        ("i", -1, "value_smaller_than_min", "0"),
        ("i", "11", "value_bigger_than_max", "10"),
        ("f", -0.5, "value_smaller_than_min", "0.0"),
        ("f", "1.5", "value_bigger_than_max", "1.0"),
        ("union", -1, "value_smaller_than_min", "0"),
    ],
)
async def test_a_literal_out_of_bounds_is_an_error(
    validate: Validator, name: str, value: Any, kind: str, bound: str
) -> None:
    error = await validate.error(literals(**{name: value}))

    assert error["type"] == kind
    assert error["details"] == name
    assert bound in error["message"] and str(value) in error["message"]
    assert set(error["extra_info"]) == {"input_name", "input_config", "received_value"}
    assert error["extra_info"]["received_value"] == float(value)


async def test_not_a_number_passes_and_is_kept(validate: Validator) -> None:
    valid = await validate(literals(f="nan"))

    assert valid.encode() == b'{"1":{"class_type":"Literals","inputs":{"f":NaN}}}'


@pytest.mark.parametrize("name", ["old", "combo"])
@pytest.mark.parametrize("value", ["z", 3, None, {"a": 1}])
async def test_a_value_that_is_no_choice_is_an_error(
    validate: Validator, name: str, value: Any
) -> None:
    error = await validate.error(literals(**{name: value}))

    assert error["type"] == "value_not_in_list"
    assert error["details"] == f"{name}: '{value}' not in ['a', 'b']"
    assert error["extra_info"] == {
        "input_name": name,
        "input_config": {"old": [["a", "b"], {}], "combo": ["COMBO", {"options": ["a", "b"]}]}[
            name
        ],
        "received_value": value,
    }


async def test_long_lists_of_choices_are_not_shown(validate: Validator) -> None:
    error = await validate.error(literals(many="z"))

    assert error["details"] == "many: 'z' not in (list of length 21)"
    assert error["extra_info"]["input_config"] is None


async def test_a_selection_with_a_value_that_is_no_choice_is_an_error(validate: Validator) -> None:
    error = await validate.error(literals(several={"__value__": ["a", "z"]}))

    assert error["type"] == "value_not_in_list"


# Files


async def test_files_are_looked_up_as_they_are_now(validate: Validator) -> None:
    graph = {"1": node("Load", name="new.safetensors")}

    error = await validate.error(graph)
    assert error["type"] == "value_not_in_list"
    assert error["details"] == "name: 'new.safetensors' not in []"

    (validate.folders.base / "models" / "checkpoints" / "new.safetensors").touch()
    assert (await validate(graph)).outputs == ("1",)


async def test_images_may_be_named_in_other_folders(validate: Validator) -> None:
    folders = validate.folders
    (folders.input / "a.png").touch()
    (folders.output / "b.png").touch()
    (folders.input / "clipspace").mkdir()
    (folders.input / "clipspace" / "c.png").touch()

    for name in ("a.png", "b.png [output]", "clipspace/c.png [input]"):
        assert (await validate({"1": node("Picture", image=name)})).outputs == ("1",)
    assert validate.asked == []  # no worker is needed for that


@pytest.mark.parametrize("name", ["no.png", "../secret.png", "a.png [output]", "/etc/passwd", 3])
async def test_an_image_that_is_not_there_is_an_error(validate: Validator, name: Any) -> None:
    (validate.folders.base / "secret.png").touch()
    (validate.folders.input / "a.png").touch()

    error = await validate.error({"1": node("Picture", image=name)})

    assert error["type"] == "custom_validation_failed"
    assert error["details"] == f"image - Invalid image file: {name}"
    assert error["extra_info"] == {"input_name": "image"}


# The class's own check


async def test_a_class_is_asked_with_what_its_check_names(validate: Validator) -> None:
    graph = {"1": node("Checked", a="99", b=3, image=["2", 0], other=1), "2": node("Make")}

    valid = await validate(graph)

    (request,) = validate.asked
    assert request.class_type == "Checked"
    assert request.inputs == {"a": 99, "image": None, "id": "1"}
    assert valid.outputs == ("1",)


async def test_bounds_of_inputs_that_the_check_does_not_name_still_hold(
    validate: Validator,
) -> None:
    graph = {"1": node("Checked", a=99, b=99, image=["2", 0]), "2": node("Make")}

    error = await validate.error(graph)

    assert error["extra_info"]["input_name"] == "b"


async def test_a_check_with_keywords_gets_all_inputs_and_replaces_all_bounds(
    validate: Validator,
) -> None:
    await validate({"1": node("CheckedAll", a=99)})

    assert validate.asked[0].inputs == {"a": 99}


async def test_a_check_that_takes_types_replaces_the_type_check(validate: Validator) -> None:
    await validate({"1": node("CheckedTypes", image=["2", 1]), "2": node("Make")})

    assert validate.asked[0].inputs == {"input_types": {"image": "MASK"}}


@pytest.mark.parametrize(("text", "ending"), [(None, ""), ("too big", " - too big")])
async def test_a_refusal_names_every_input_that_the_check_got(
    validate: Validator, text: str | None, ending: str
) -> None:
    validate.answer = lambda request: CheckResult(ok=False, text=text)

    rejected = await validate.rejection(
        {"1": node("Checked", a=1, b=1, image=["2", 0]), "2": node("Make")}
    )

    errors = rejected.node_errors["1"]["errors"]
    assert {e["type"] for e in errors} == {"custom_validation_failed"}
    assert [e["details"] for e in errors] == [f"{name}{ending}" for name in ("a", "image", "id")]
    assert errors[0]["extra_info"] == {"input_name": "a"}


async def test_a_check_that_raises_is_filed_under_the_output(validate: Validator) -> None:
    validate.answer = lambda request: CheckResult(
        ok=False, exception_type="ValueError", exception_message="oops", traceback=["line"]
    )

    error = await validate.error({"1": node("CheckedAll", a=1)})

    assert error["type"] == "exception_during_validation"
    assert error["details"] == "oops"
    assert error["extra_info"] == {"exception_type": "ValueError", "traceback": ["line"]}


async def test_classes_are_asked_about_all_nodes_at_once(validate: Validator) -> None:
    await validate({str(i): node("CheckedAll", a=i) for i in range(5)})

    assert [request.inputs["a"] for request in validate.asked] == [0, 1, 2, 3, 4]


# Dynamic inputs


async def test_the_inputs_of_the_chosen_branch_are_checked(validate: Validator) -> None:
    good = {"1": node("Branch", mode="size", **{"mode.width": "5"})}
    assert (await validate(good)).prompt["1"]["inputs"]["mode.width"] == 5
    assert (await validate({"1": node("Branch", mode="none")})).outputs == ("1",)
    assert (await validate({"1": node("Branch", mode="unknown")})).outputs == ("1",)

    error = await validate.error({"1": node("Branch", mode="size")})
    assert error["type"] == "required_input_missing"
    assert error["details"] == "width"
    assert error["extra_info"] == {"input_name": "mode.width"}


async def test_the_parts_of_a_growing_input_are_checked(validate: Validator) -> None:
    graph = {"1": node("Grow", **{"images.image0": ["2", 0]}), "2": node("Make")}

    error = await validate.error(graph)
    assert error["type"] == "required_input_missing"
    assert error["extra_info"] == {"input_name": "images.image1"}

    graph["1"]["inputs"]["images.image1"] = ["2", 1]
    assert (await validate.error(graph))["type"] == "return_type_mismatch"
    graph["1"]["inputs"]["images.image1"] = ["2", 0]
    assert (await validate(graph)).outputs == ("1",)


# Size


@pytest.mark.parametrize("is_closed", [False, True])
async def test_very_deep_graphs_are_checked_without_recursion(
    validate: Validator, is_closed: bool
) -> None:
    count = 20_000
    graph = {"0": node("Make")}
    graph |= {str(i): node("Invert", image=[str(i - 1), 0]) for i in range(1, count)}
    graph["end"] = node("Show", image=[str(count - 1), 0])
    if is_closed:
        graph["1"]["inputs"]["image"] = [str(count - 1), 0]
        rejected = await validate.rejection(graph)
        assert "form a cycle" in rejected.error["details"]
        assert len(rejected.error["details"]) < 1000
    else:
        assert (await validate(graph)).outputs == ("end",)


async def test_the_time_grows_with_the_size_and_not_with_its_square(validate: Validator) -> None:
    def wide(count: int) -> Graph:
        """Many bad nodes behind many outputs, all linked to each other's neighbours."""
        graph = {str(i): node("Show", image=[f"x{i}", 0]) for i in range(count)}
        graph |= {f"x{i}": node("Invert", image=[f"x{i + 1}", 9]) for i in range(count)}
        return graph | {f"x{count}": node("Make")}

    began = time.process_time()
    await validate.rejection(wide(200))
    small = time.process_time() - began
    began = time.process_time()
    await validate.rejection(wide(2000))
    large = time.process_time() - began

    assert large < 60 * max(small, 0.005)
