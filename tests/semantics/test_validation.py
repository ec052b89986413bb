"""What is checked before a graph is queued, from the classes' own declarations on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nodes.blocker import ExecutionBlocker
from tests.executor.worker.harness import ANY, Show, Value, node
from tests.semantics.system import System

Make = Callable[..., System]


def show_of(**inputs: Any) -> type[Show]:
    """An output node class with these required inputs, which shows what it gets."""

    class Own(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": inputs}

        def run(self, **values: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"ui": {"text": [repr(values)]}}

    return Own


@pytest.mark.parametrize("marker", [1, "yes", False, None])
async def test_only_true_itself_makes_an_output_node(system: Make, marker: Any) -> None:
    kind = type("Odd", (Show,), {"OUTPUT_NODE": marker})
    graph = {"1": node("Odd", value=1), "2": node("Show", value=1)}
    assert (await system(Odd=kind).validate(graph)).outputs == ("2",)


async def test_nodes_that_no_output_reaches_may_be_incomplete(system: Make) -> None:
    graph = {
        "1": node("Show", value=1),
        "2": node("Value"),
        "3": {"class_type": "Value"},
        "4": {"class_type": "Value", "inputs": None},
        "5": node("Value", value=["9", 0]),
        "6": node("Value", value=["6", 0]),
    }
    assert await system().shown(graph) == ["1"]


async def test_a_node_behind_an_undeclared_link_is_run_without_being_checked(system: Make) -> None:
    class Numbers(Value):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ("INT", {"max": 3})}}

    class Open(Show):
        def run(self, value: Any, extra: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"ui": {"text": [extra]}}

    graph = {"1": node("Open", value=1, extra=["2", 0]), "2": node("Numbers", value=99)}
    assert await system(Open=Open, Numbers=Numbers).shown(graph) == [99]


async def test_the_default_of_a_required_input_is_not_filled_in(system: Make) -> None:
    kind = show_of(count=("INT", {"default": 5}))
    (error,) = (await system(Own=kind).errors({"1": node("Own")}))["1"]
    assert error["type"] == "required_input_missing"


async def test_an_input_whose_name_has_a_dot_is_named_in_full(system: Make) -> None:
    kind = show_of(**{"a.b": ("INT",)})
    (error,) = (await system(Own=kind).errors({"1": node("Own")}))["1"]
    assert error["details"] == "a.b"


async def test_options_that_only_clients_use_are_not_checked(system: Make) -> None:
    options = {"step": 2, "round": 0.5, "multiline": False, "forceInput": True}
    kind = show_of(count=("INT", options), text=("STRING", options))
    assert await system(Own=kind).shown({"1": node("Own", count=3, text="a\nb")})


async def test_a_literal_of_a_custom_type_is_let_through(system: Make) -> None:
    kind = show_of(thing=("MY_THING",))
    shown = await system(Own=kind).shown({"1": node("Own", thing={"a": 1})})
    assert shown == ["{'thing': {'a': 1}}"]


async def test_a_linked_combo_is_not_compared_with_the_options(system: Make) -> None:
    class Choice(Value):
        RETURN_TYPES = ("COMBO",)

    kind = show_of(choice=("COMBO", {"options": ["a"]}))
    graph = {"1": node("Own", choice=["2", 0]), "2": node("Choice", value="z")}
    assert await system(Own=kind, Choice=Choice).shown(graph) == ["{'choice': 'z'}"]


class Whatever(str):
    """Claims to equal every type, as packs have it."""

    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return False


class Pixels(str):
    """Claims to equal two types."""

    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return other not in ("IMAGE", "MASK")


@pytest.mark.parametrize(
    ("offered", "wanted", "fits"),
    [
        (Whatever("THING"), "IMAGE", True),
        ("IMAGE", Whatever("THING"), True),
        (Pixels("PIXELS"), "MASK", True),
        ("IMAGE", Pixels("PIXELS"), True),
        (Pixels("PIXELS"), "LATENT", False),
        ("LATENT", Pixels("PIXELS"), False),
    ],
)
async def test_a_type_may_say_itself_what_it_fits(
    system: Make, offered: str, wanted: str, fits: bool
) -> None:
    class Source(Value):
        RETURN_TYPES = (offered,)

    others = {"Image": show_of(a=("IMAGE",)), "Latent": show_of(a=("LATENT",))}
    made = system(Own=show_of(thing=(wanted,)), Source=Source, **others)
    graph = {"1": node("Own", thing=["2", 0]), "2": node("Source", value=5)}
    if fits:
        assert await made.shown(graph) == ["{'thing': 5}"]
    else:
        (error,) = (await made.errors(graph))["1"]
        assert error["type"] == "return_type_mismatch"


async def test_outputs_may_be_a_tuple_with_an_item_for_every_index(system: Make) -> None:
    class Endless(tuple[str, ...]):
        def __getitem__(self, index: Any) -> Any:
            return "*"

    class Many(Value):
        RETURN_TYPES = Endless(("*",))

        def run(self, value: Any) -> tuple[Any, ...]:
            return tuple(range(10))

    graph = {"1": node("Show", value=["2", 7]), "2": node("Many", value=0)}
    assert await system(Many=Many).shown(graph) == ["7"]


async def test_optional_inputs_may_be_a_dict_that_has_every_key(system: Make) -> None:
    class Every(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return True

        def __getitem__(self, key: str) -> Any:
            return ANY

    class Rows(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {}, "optional": Every()}

        def run(self, **rows: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"ui": {"text": [rows]}}

    graph = {"1": node("Rows", row_1={"on": True}, row_2=["2", 0]), "2": node("Value", value=3)}
    assert await system(Rows=Rows).shown(graph) == [{"row_1": {"on": True}, "row_2": 3}]


def checked(check: Any, **inputs: Any) -> type[Show]:
    """A class with these inputs and this check of its own."""
    return type("Checked", (show_of(**inputs),), {"VALIDATE_INPUTS": check})


BOUNDED = {"a": ("INT", {"max": 5}), "b": ("INT", {"max": 5})}


@pytest.mark.parametrize("form", [classmethod, staticmethod])
async def test_the_check_is_a_classmethod_or_a_static_function(system: Make, form: Any) -> None:
    def check(*given: Any, a: Any) -> Any:
        return "odd" if a % 2 else True

    made = system(Checked=checked(form(check), **BOUNDED))
    assert await made.shown({"1": node("Checked", a=98, b=1)}) == ["{'a': 98, 'b': 1}"]
    (error,) = (await made.errors({"1": node("Checked", a="99", b=1)}))["1"]
    assert (error["type"], error["details"]) == ("custom_validation_failed", "a - odd")


async def test_the_check_may_be_async(system: Make) -> None:
    async def check(cls: Any, a: Any) -> bool:
        return bool(a == 7)

    made = system(Checked=checked(classmethod(check), **BOUNDED))
    assert await made.shown({"1": node("Checked", a=7, b=1)})
    (error,) = (await made.errors({"1": node("Checked", a=8, b=1)}))["1"]
    assert error["details"] == "a"


async def test_bounds_hold_for_inputs_that_the_check_does_not_name(system: Make) -> None:
    made = system(Checked=checked(classmethod(lambda cls, a: True), **BOUNDED))
    (error,) = (await made.errors({"1": node("Checked", a=99, b=99)}))["1"]
    assert (error["type"], error["details"]) == ("value_bigger_than_max", "b")


async def test_a_check_with_keywords_replaces_all_bounds(system: Make) -> None:
    seen: list[Any] = []

    def check(cls: Any, /, **given: Any) -> bool:
        seen.append(given)
        return True

    made = system(Checked=checked(classmethod(check), **BOUNDED))
    await made.validate({"1": node("Checked", a=99, b="98", other=1)})
    assert seen == [{"a": 99, "b": 98}]


async def test_conversion_and_links_are_checked_whatever_the_check_names(system: Make) -> None:
    made = system(Checked=checked(classmethod(lambda cls, a, b: True), **BOUNDED))
    graph = {"1": node("Checked", a="abc", b=["2", 0]), "2": node("Text", value="")}
    text = type("Text", (Value,), {"RETURN_TYPES": ("STRING",)})
    made = system(Checked=made.classes["Checked"], Text=text)
    errors = (await made.errors(graph))["1"]
    assert [e["type"] for e in errors] == ["invalid_input_type", "return_type_mismatch"]


async def test_the_check_gets_none_for_links_and_nothing_for_absent_inputs(system: Make) -> None:
    seen: list[Any] = []

    class Own(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            hidden = {"graph": "PROMPT", "me": "UNIQUE_ID"}
            return {"required": {"a": ANY}, "optional": {"b": ANY, "c": ANY}, "hidden": hidden}

        @classmethod
        def VALIDATE_INPUTS(cls, a: Any, graph: Any, me: Any, b: Any = "own", c: Any = 0) -> bool:
            seen.append((a, graph, me, b, c))
            return True

    graph = {"1": node("Own", a=["2", 0], c=5), "2": node("Value", value=1)}
    await system(Own=Own).validate(graph)
    assert seen == [(None, {}, "1", "own", 5)]


async def test_a_parameter_that_nothing_is_given_for_is_an_exception(system: Make) -> None:
    made = system(Checked=checked(classmethod(lambda cls, a, missing: True), a=ANY))
    (error,) = (await made.errors({"1": node("Checked", a=1)}))["1"]
    assert error["type"] == "exception_during_validation"
    assert error["extra_info"]["exception_type"] == "TypeError"
    assert "missing" in error["details"]


async def test_the_types_of_links_are_given_to_a_check_that_asks_for_them(system: Make) -> None:
    def check(cls: Any, input_types: Any) -> Any:
        return True if input_types == {"a": "STRING"} else f"not {input_types}"

    class Text(Value):
        RETURN_TYPES = ("STRING",)

    made = system(Checked=checked(classmethod(check), a=("INT",), b=("INT",)), Text=Text)
    graph = {"1": node("Checked", a=["2", 0], b=3), "2": node("Text", value="x")}
    assert await made.shown(graph)
    graph["1"]["inputs"]["b"] = ["2", 0]
    (error,) = (await made.errors(graph))["1"]
    assert error["details"].startswith("input_types - not {")


async def test_a_blocker_as_answer_of_a_check_is_fine(system: Make) -> None:
    check = classmethod(lambda cls, a: ExecutionBlocker("later"))
    assert await system(Checked=checked(check, a=ANY)).shown({"1": node("Checked", a=1)})


@pytest.mark.parametrize(("answer", "ending"), [(False, ""), (None, " - None"), (0, " - 0")])
async def test_any_other_answer_refuses_every_input_that_was_given(
    system: Make, answer: Any, ending: str
) -> None:
    made = system(Checked=checked(classmethod(lambda cls, a, b: answer), a=ANY, b=ANY))
    errors = (await made.errors({"1": node("Checked", a=1, b=2)}))["1"]
    assert [e["details"] for e in errors] == [f"a{ending}", f"b{ending}"]


async def test_the_check_runs_although_other_errors_were_found(system: Make) -> None:
    made = system(Checked=checked(classmethod(lambda cls, a: "no"), a=ANY, b=("INT",)))
    errors = (await made.errors({"1": node("Checked", a=1)}))["1"]
    assert [e["type"] for e in errors] == ["required_input_missing", "custom_validation_failed"]


class Unprintable:
    """An answer without a text."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("answer", [KeyboardInterrupt(), SystemExit(2), Unprintable(), "\ud800"])
async def test_no_check_can_do_harm(system: Make, answer: Any) -> None:
    def check(cls: Any, a: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    made = system(Checked=checked(classmethod(check), a=ANY))
    assert "1" in await made.errors({"1": node("Checked", a=1)})
