"""comfy_execution and comfy.comfy_types, as packs use them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfy.comfy_types import IO, ComfyNodeABC, FileLocator, InputTypeDict, node_typing
from comfy_execution import caching, graph, progress
from comfy_execution.graph import DynamicPrompt, ExecutionBlocker, get_input_info
from comfy_execution.graph_utils import GraphBuilder, add_graph_prefix, is_link
from comfy_execution.utils import CurrentNodeContext, ExecutionContext, get_executing_context
from comfy_execution.validation import validate_node_input

from tests.executor.worker.harness import BASIC, Bench, Value, node


def test_a_builder_with_a_prefix_numbers_its_nodes_from_one() -> None:
    builder = GraphBuilder(prefix="p.")
    first = builder.node("A", x=1)
    second = builder.node("B", id="named", y=first.out(2))
    assert (first.id, second.id) == ("p.1", "p.named")
    assert builder.node("A", id="named") is second
    second.set_input("z", 3)
    second.set_input("y", None)
    second.set_override_display_id("7")
    assert second.get_input("z") == 3
    assert second.get_input("y") is None
    assert builder.finalize() == {
        "p.1": {"class_type": "A", "inputs": {"x": 1}},
        "p.named": {"class_type": "B", "inputs": {"z": 3}, "override_display_id": "7"},
    }


def test_nodes_of_a_builder_are_found_removed_and_replaced() -> None:
    builder = GraphBuilder(prefix="")
    made = builder.node("A", id="a")
    user = builder.node("B", id="b", x=made.out(0), y=made.out(1))
    builder.replace_node_output("a", 0, ["elsewhere", 5])
    builder.replace_node_output("a", 1, None)
    assert user.inputs == {"x": ["elsewhere", 5]}
    builder.remove_node("a")
    assert builder.lookup_node("a") is None
    assert builder.lookup_node("b") is user


def test_a_builder_outside_of_a_node_needs_a_prefix() -> None:
    with pytest.raises(RuntimeError, match="needs a prefix"):
        GraphBuilder()


def test_a_graph_gets_a_prefix() -> None:
    before = {"a": node("A", x=["b", 0], y=5), "b": node("B")}
    moved, outputs = add_graph_prefix(before, (["a", 1], 7), "p.")
    assert moved == {"p.a": node("A", x=["p.b", 0], y=5), "p.b": node("B")}
    assert outputs == (["p.a", 1], 7)
    assert is_link(["a", 0])
    assert not is_link(["a", "b"])


class Builders(Value):
    """Makes builders; tells their prefixes."""

    def run(self, value: Any) -> tuple[Any]:
        """Two prefixes."""
        return ((GraphBuilder().prefix, GraphBuilder().prefix),)


class AsyncBuilders(Value):
    """The same in two async calls that take turns."""

    async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
        """Two prefixes."""
        first = GraphBuilder().prefix
        await asyncio.sleep(0)
        return ((first, GraphBuilder().prefix),)


class Many(Value):
    """A list of two."""

    OUTPUT_IS_LIST = (True,)

    def run(self, value: Any) -> tuple[Any]:
        """Two."""
        return ([1, 2],)


class Where(Value):
    """Tells where it runs."""

    def run(self, value: Any) -> tuple[Any]:
        """Here, and inside of another."""
        here = get_executing_context()
        assert here is not None
        with CurrentNodeContext("other", "9", 4):
            inside = get_executing_context()
        assert get_executing_context() == here
        return ((tuple(here), tuple(inside or ())),)


class Reports(Value):
    """Reports progress in the engine's own terms."""

    def run(self, value: Any) -> tuple[Any]:
        """Half of it."""
        progress.get_progress_state().update_progress("1", 1, 2)
        return (progress.get_progress_state().prompt_id,)


NODES = BASIC | {
    "Builders": Builders,
    "AsyncBuilders": AsyncBuilders,
    "Many": Many,
    "Where": Where,
    "Reports": Reports,
}


def mapped(class_type: str) -> dict[str, Any]:
    return {
        "0": node("Many", value=0),
        "1": node(class_type, value=["0", 0]),
        "2": node("Show", value=["1", 0]),
    }


@pytest.mark.parametrize("class_type", ["Builders", "AsyncBuilders"])
def test_prefixes_name_node_call_and_builder_and_stay_the_same(class_type: str) -> None:
    expected = {"text": ["('1.0.0.', '1.0.1.')", "('1.1.0.', '1.1.1.')"]}
    for _ in range(2):
        assert Bench(NODES).run(mapped(class_type)).finished.outputs["2"] == expected


def test_a_node_knows_where_it_runs() -> None:
    outputs = Bench(NODES).run(mapped("Where")).finished.outputs
    assert outputs["2"]["text"][1] == "(('p', '1', 1), ('other', '9', 4))"
    assert get_executing_context() is None
    assert ExecutionContext("p", "1", None).list_index is None


def test_progress_may_be_reported_in_the_engines_own_terms() -> None:
    run = Bench(NODES).run({"1": node("Reports", value=1), "2": node("Show", value=["1", 0])})
    assert run.of("progress")[0]["value"] == 1
    assert run.finished.outputs["2"]["text"] == ["p"]
    with pytest.raises(RuntimeError, match="no prompt is running"):
        progress.get_progress_state()


def test_the_graph_can_be_asked() -> None:
    prompt = DynamicPrompt({"1": node("A", x=2)})
    prompt.add("1", {"1.1": node("B")})
    assert prompt.get_node("1")["inputs"] == {"x": 2}
    assert prompt.has_node("1.1")
    assert prompt.all_node_ids() == {"1", "1.1"}
    assert prompt.get_parent_node_id("1.1") == "1"
    assert prompt.get_display_node_id("1.1") == prompt.get_real_node_id("1.1") == "1"
    assert prompt.get_original_prompt() == {"1": node("A", x=2)}
    with pytest.raises(graph.NodeNotFoundError):
        prompt.get_node("2")


def test_a_declared_input_is_found_with_its_section() -> None:
    class Declared:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {
                "required": {"a": ("INT", {"min": 1})},
                "optional": {"b": ("IMAGE",)},
                "hidden": {"id": "UNIQUE_ID"},
            }

    assert get_input_info(Declared, "a") == ("INT", "required", {"min": 1})
    assert get_input_info(Declared, "b") == ("IMAGE", "optional", {})
    assert get_input_info(Declared, "id") == ("UNIQUE_ID", "hidden", {})
    assert get_input_info(Declared, "c") == (None, None, None)


def test_a_blocker_is_the_engines_own() -> None:
    class Blocks(Value):
        def run(self, value: Any) -> tuple[Any]:
            return (ExecutionBlocker(None),)

    run = Bench(NODES | {"Blocks": Blocks}).run(
        {"1": node("Blocks", value=1), "2": node("Show", value=["1", 0])}
    )
    assert run.finished.succeeded
    assert run.finished.outputs == {}


def test_names_of_the_references_insides_say_so_when_they_are_used() -> None:
    with pytest.raises(NotImplementedError, match=r"graph\.ExecutionList"):
        graph.ExecutionList()
    with pytest.raises(NotImplementedError, match=r"caching\.LRUCache"):
        caching.LRUCache()
    with pytest.raises(NotImplementedError, match="add_progress_handler"):
        progress.add_progress_handler(progress.ProgressHandler("x"))


@pytest.mark.parametrize(
    ("received", "wanted", "loose", "strict"),
    [
        ("INT", "INT", True, True),
        ("INT", "FLOAT", False, False),
        ("INT,FLOAT", "FLOAT, STRING", True, False),
        ("INT", "FLOAT,INT", True, True),
        ("*", "IMAGE", True, True),
        ("IMAGE", "INT,*", True, True),
        (["a", "b"], "COMBO", True, True),
        (("a",), "COMBO", True, True),
        (["a"], "INT", False, False),
        (IO.NUMBER, "INT", True, True),
    ],
)
def test_links_fit_as_the_server_says(
    received: Any, wanted: Any, loose: bool, strict: bool
) -> None:
    assert validate_node_input(received, wanted) is loose
    assert validate_node_input(received, wanted, strict=True) is strict


def test_types_that_may_be_linked_are_not_unequal() -> None:
    assert (IO.ANY != "IMAGE") is False
    assert ("IMAGE" != IO.ANY) is False  # noqa: SIM300
    assert (IO.NUMBER != "INT") is False
    assert (IO.PRIMITIVE != "STRING,IMAGE") is False
    assert IO.INT != "FLOAT"
    assert IO.INT != 5
    assert (IO.IMAGE, IO.ANY) == ("IMAGE", "*")
    assert f"{IO.NUMBER}" == "FLOAT,INT"
    assert hash(IO.INT) == hash("INT")


def test_an_older_node_class_may_be_written_with_the_names() -> None:
    class Typed(ComfyNodeABC):
        RETURN_TYPES = (IO.INT,)
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls) -> InputTypeDict:
            return {"required": {"value": (IO.ANY, {})}}

        def run(self, value: Any) -> tuple[Any]:
            return (value,)

    found: FileLocator = {"filename": "a", "subfolder": "", "type": "temp"}
    assert found["type"] == "temp"
    assert node_typing.IO is IO
    outputs = (
        Bench(BASIC | {"Typed": Typed})
        .run({"1": node("Typed", value=4), "2": node("Show", value=["1", 0])})
        .finished.outputs
    )
    assert outputs["2"]["text"] == ["4"]
