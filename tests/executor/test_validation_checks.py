"""Classes' own checks, and inputs that depend on others."""

from __future__ import annotations

import pytest

from executor.calls import CheckResult
from executor.validation import NAMED_NODES
from tests.executor.graphs import Validator, node


async def test_a_class_is_asked_with_what_its_check_names(validate: Validator) -> None:
    graph = {"1": node("Checked", a="99", b=3, image=["2", 0], other=1), "2": node("Make")}

    valid = await validate(graph)

    (request,) = validate.asked
    assert request.class_type == "Checked"
    assert request.inputs == {"a": 99, "image": None, "id": "1"}
    assert valid.outputs == ("1",)


async def test_of_very_many_bad_nodes_only_the_first_are_named(validate: Validator) -> None:
    graph = {str(number): node("Checked", a=99, b=99) for number in range(NAMED_NODES + 500)}
    rejected = await validate.rejection(graph)
    assert list(rejected.node_errors) == list(graph)[:NAMED_NODES]
    assert rejected.error["details"].count("\n") < 10 * NAMED_NODES


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
