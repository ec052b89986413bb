"""Literals and file names of a submitted graph."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.executor.graphs import Validator, literals, node


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
