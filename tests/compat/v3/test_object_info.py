"""How V3 nodes are described to clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_api.latest import io

from executor.worker.describe import describe
from tests.compat.v3.bench import V3Bench, loaded_pack


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[V3Bench]:
    with loaded_pack() as module:
        yield V3Bench(module, tmp_path_factory.mktemp("base"))


@pytest.fixture
def widgets(bench: V3Bench) -> dict[str, Any]:
    sections = bench.info("V3Widgets")["input"]
    return {**sections["required"], **sections["optional"]}


def test_a_node_is_described_with_the_keys_of_the_reference(bench: V3Bench) -> None:
    assert bench.info("V3Gradient") == {
        "input": {
            "required": {
                "width": ["INT", {"default": 64, "min": 8, "max": 1024, "step": 8}],
                "height": ["INT", {"default": 64, "min": 8, "max": 1024, "step": 8}],
            },
            "optional": {"count": ["INT", {"default": 1, "min": 1, "max": 16}]},
        },
        "input_order": {"required": ["width", "height"], "optional": ["count"]},
        "output": ["IMAGE", "MASK"],
        "output_is_list": [False, False],
        "output_name": ["IMAGE", "ramp"],
        "output_tooltips": [None, "The ramp"],
        "output_matchtypes": None,
        "name": "V3Gradient",
        "display_name": "Gradient (V3)",
        "description": "A grey ramp from left to right.",
        "python_module": "nodes",
        "category": "v3_pack/image",
        "output_node": False,
        "deprecated": False,
        "experimental": False,
        "api_node": False,
    }


def test_a_node_without_a_display_name_has_null(bench: V3Bench) -> None:
    assert bench.info("V3Blend")["display_name"] is None


def test_hidden_inputs_are_lists_of_one(bench: V3Bench) -> None:
    assert bench.info("V3Stamp")["input"]["hidden"] == {"unique_id": ["UNIQUE_ID"]}
    assert bench.info("V3Stamp")["input_order"]["hidden"] == ["unique_id"]


def test_an_output_node_asks_for_the_graph_and_what_the_client_added(bench: V3Bench) -> None:
    hidden = {"prompt": ["PROMPT"], "extra_pnginfo": ["EXTRA_PNGINFO"]}
    assert bench.info("V3Save")["input"]["hidden"] == hidden
    assert bench.info("V3Save")["output_node"] is True


def test_a_cloud_node_asks_for_its_keys(bench: V3Bench) -> None:
    info = bench.info("V3Cloud")
    assert info["api_node"] is True
    assert list(info["input"]["hidden"]) == ["auth_token_comfy_org", "api_key_comfy_org"]
    assert info["category"] == "sd"
    assert info["input"]["required"] == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flag", ["BOOLEAN", {"default": True, "label_on": "on", "label_off": "off"}]),
        (
            "seed",
            [
                "INT",
                {
                    "default": 0,
                    "min": 0,
                    "max": 0xFFFFFFFFFFFFFFFF,
                    "control_after_generate": "randomize",
                    "display": "slider",
                    "advanced": True,
                },
            ],
        ),
        (
            "amount",
            ["FLOAT", {"default": 1.0, "min": 0, "max": 2, "step": 0.1, "tooltip": "How much"}],
        ),
        ("text", ["STRING", {"multiline": True, "placeholder": "Say", "dynamicPrompts": True}]),
        ("linked", ["STRING", {"multiline": False, "forceInput": True}]),
        (
            "flavour",
            ["COMBO", {"default": "sour", "multiselect": False, "options": ["sweet", "sour"]}],
        ),
        (
            "file",
            [
                "COMBO",
                {
                    "multiselect": False,
                    "options": [],
                    "image_upload": True,
                    "image_folder": "input",
                },
            ],
        ),
        (
            "remote",
            [
                "COMBO",
                {
                    "multiselect": False,
                    "options": [],
                    "remote": {
                        "route": "/pack/choices",
                        "refresh_button": True,
                        "control_after_refresh": "first",
                        "timeout": 5,
                    },
                },
            ],
        ),
        (
            "fetched",
            [
                "COMBO",
                {
                    "multiselect": False,
                    "remote_combo": {
                        "route": "/pack/items",
                        "item_schema": {"value_field": "id", "label_field": "name"},
                    },
                },
            ],
        ),
        (
            "tags",
            [
                "COMBO",
                {
                    "default": ["a"],
                    "multiselect": True,
                    "options": ["a", "b"],
                    "placeholder": "Tags",
                    "chip": True,
                    "multi_select": {"placeholder": "Tags", "chip": True},
                },
            ],
        ),
        ("either", ["FLOAT,INT,IMAGE", {"default": 0.5, "widgetType": "FLOAT"}]),
        ("thing", ["PACK_THING", {"mine": 1}]),
        ("color", ["COLOR", {"default": "#ffffff", "socketless": True}]),
        ("model", ["MODEL", {"rawLink": True, "later_option": "kept"}]),
    ],
)
def test_an_input_is_described(widgets: dict[str, Any], name: str, expected: Any) -> None:
    assert widgets[name] == expected


def test_what_later_releases_add_is_described_where_it_is_set(bench: V3Bench) -> None:
    info = bench.info("V3Widgets")
    assert info["dev_only"] is True
    assert info["essentials_category"] == "Basics"
    assert info["price_badge"] == {
        "engine": "jsonata",
        "depends_on": {"widgets": ["seed"], "inputs": [], "input_groups": []},
        "expr": '{"usd": 1}',
    }
    assert bench.info("V3Blend")["search_aliases"] == ["mix"]


def test_arguments_of_a_schema_that_are_not_known_are_passed_on(bench: V3Bench) -> None:
    assert bench.info("V3Blend")["some_later_argument"] == {"kept": True}


def test_deprecated_and_experimental_are_always_told(bench: V3Bench) -> None:
    assert bench.info("V3Widgets")["deprecated"] is True
    assert bench.info("V3Switch")["experimental"] is True
    assert bench.info("V3Switch")["deprecated"] is False


def test_outputs_are_named_by_display_name_or_type(bench: V3Bench) -> None:
    info = bench.info("V3Widgets")
    assert info["output"] == ["COMBO", "PACK_THING"]
    assert info["output_name"] == ["COMBO", "thing"]
    assert info["output_tooltips"] == ["The choice", None]


def test_outputs_name_the_template_that_they_match(bench: V3Bench) -> None:
    info = bench.info("V3Switch")
    template = {"template_id": "switched", "allowed_types": "IMAGE,INT,STRING"}
    required = info["input"]["required"]
    assert required["yes"] == ["COMFY_MATCHTYPE_V3", {"lazy": True, "template": template}]
    assert info["output"] == ["COMFY_MATCHTYPE_V3"]
    assert info["output_matchtypes"] == ["switched"]


def test_a_growing_input_is_described_by_its_template(bench: V3Bench) -> None:
    assert bench.info("V3Merge")["input"]["required"]["items"] == [
        "COMFY_AUTOGROW_V3",
        {
            "template": {
                "input": {"required": {"item": ["*", {}]}},
                "prefix": "item",
                "min": 2,
                "max": 5,
            }
        },
    ]


def test_members_of_a_growing_input_are_sockets(bench: V3Bench) -> None:
    assert bench.info("V3Named")["input"]["required"]["weights"][1]["template"] == {
        "input": {"required": {}, "optional": {"weight": ["FLOAT", {"forceInput": True}]}},
        "names": ["left", "right"],
        "min": 1,
    }


def test_a_dynamic_choice_is_described_with_what_it_opens(bench: V3Bench) -> None:
    kind, options = bench.info("V3Choice")["input"]["required"]["how"]
    assert kind == "COMFY_DYNAMICCOMBO_V3"
    assert options["options"][:2] == [
        {"key": "nothing", "inputs": {"required": {}}},
        {
            "key": "size",
            "inputs": {
                "required": {"width": ["INT", {"min": 1, "max": 100}]},
                "optional": {"extra": ["FLOAT", {"lazy": True}]},
            },
        },
    ]


def test_a_class_is_described_anew_each_time() -> None:
    choices = ["a"]

    class Fresh(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Fresh", inputs=[io.Combo.Input("c", options=choices)])

    assert describe("Fresh", Fresh, "x").info["input"]["required"]["c"][1]["options"] == ["a"]
    choices.append("b")
    assert describe("Fresh", Fresh, "x").info["input"]["required"]["c"][1]["options"] == ["a", "b"]


def test_a_class_in_a_table_of_older_form_goes_by_the_name_there() -> None:
    class Renamed(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Original")

    assert describe("InTable", Renamed, "x").info["name"] == "InTable"


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([io.Int.Input("a"), io.Float.Input("a")], [], "declares 'a' twice"),
        ([], [io.Int.Output("o"), io.Int.Output("o")], "declares 'o' twice"),
        ([io.Int.Input("")], [], "must be a text"),
        (["not an input"], [], "as an input"),
        ([], [io.Int], "as an output"),
        (
            [
                io.DynamicCombo.Input(
                    "d", options=[io.DynamicCombo.Option("k", [io.Int.Input("x")] * 2)]
                )
            ],
            [],
            "declares 'x' twice",
        ),
        (
            [io.DynamicCombo.Input("d", options=[io.DynamicCombo.Option("k", [])] * 2)],
            [],
            "declares 'k' twice",
        ),
    ],
)
def test_a_schema_that_cannot_work_is_refused_with_its_name(
    inputs: list[Any], outputs: list[Any], message: str
) -> None:
    class Wrong(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="WrongNode", inputs=inputs, outputs=outputs)

    with pytest.raises(ValueError, match=message) as caught:
        Wrong.GET_SCHEMA()
    if "declares 'k'" not in message and "text" not in message:
        assert "WrongNode" in str(caught.value) or "input 'd'" in str(caught.value)


@pytest.mark.parametrize(("least", "most"), [(3, 2), (0, 101), (-1, 2)])
def test_bounds_of_a_growing_input_that_cannot_be_kept_are_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match="0 <= min <= max <= 100"):
        io.Autogrow.TemplatePrefix(io.Image.Input("i"), prefix="i", min=least, max=most)


def test_types_of_later_releases_are_plain_types() -> None:
    assert io.Load9DThing.io_type == "LOAD_9D_THING"
    assert io.Load9DThing is io.Load9DThing
    assert isinstance(io.Load9DThing.Input("x"), io.Input)
    assert not hasattr(io, "not_a_type")


def test_a_pack_names_types_of_its_own(bench: V3Bench) -> None:
    info = bench.info("V3Pair")
    assert info["input"]["optional"]["pair"] == ["PACK_PAIR", {}]
    assert info["output"] == ["PACK_PAIR"]


def test_the_folder_of_the_pack_is_told(tmp_path: Path, bench: V3Bench) -> None:
    node_class = bench.classes["V3Pair"]
    node_class.RELATIVE_PYTHON_MODULE = "custom_nodes.v3_pack"
    assert describe("V3Pair", node_class, "x").info["python_module"] == "custom_nodes.v3_pack"
