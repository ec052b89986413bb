"""Prompts of other releases: what the classes that come with Darkroom do without, and ignore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nodes.base import Node, inputs
from nodes.datasets.texts import TextToUppercase
from nodes.image_transforms import GetImageSize
from nodes.images import EmptyImage, ImageInvert
from nodes.resizing import ResizeImageMaskNode
from tests.executor.worker.harness import node
from tests.semantics.system import System

Make = Callable[..., System]

OURS: dict[str, Any] = {
    cls.__name__: cls for cls in (EmptyImage, ImageInvert, GetImageSize, ResizeImageMaskNode)
}


def _sizes_of(**image: Any) -> dict[str, Any]:
    return {
        "1": node("EmptyImage", **image),
        "2": node("GetImageSize", image=["1", 0]),
        "w": node("Show", value=["2", 0]),
        "h": node("Show", value=["2", 1]),
    }


async def test_an_absent_input_takes_its_default(system: Make) -> None:
    result = await system(**OURS).run(_sizes_of(width=3))
    assert result.finished.outputs["w"]["text"] == ["3"]
    assert result.finished.outputs["h"]["text"] == ["512"]


async def test_the_default_is_put_into_the_prompt(system: Make) -> None:
    valid = await system(**OURS).validate(_sizes_of(width=3))
    assert valid.prompt["1"]["inputs"] == {"width": 3, "height": 512, "batch_size": 1, "color": 0}


async def test_an_absent_input_of_a_choice_takes_its_default(system: Make) -> None:
    graph = _sizes_of(width=600, height=300)
    graph["3"] = node(
        "ResizeImageMaskNode",
        input=["1", 0],
        scale_method="nearest-exact",
        resize_type="scale total pixels",
        **{"resize_type.megapixels": 0.01},
    )
    graph["2"]["inputs"]["image"] = ["3", 0]
    result = await system(**OURS).run(graph)
    assert result.finished.outputs["w"]["text"] == ["145"]


async def test_an_absent_input_without_a_default_is_an_error(system: Make) -> None:
    graph = {"1": node("ImageInvert"), "2": node("Show", value=["1", 0])}
    ((error,),) = (await system(**OURS).errors(graph)).values()
    assert (error["type"], error["details"]) == ("required_input_missing", "image")


async def test_an_input_may_have_the_name_that_another_release_has_for_it(system: Make) -> None:
    make = system(TextToUppercase=TextToUppercase)
    graph = {
        "1": node("Value", value="a"),
        "2": node("TextToUppercase", text=["1", 0]),
        "3": node("TextToUppercase", texts="b", text=["1", 0]),
        "a": node("Show", value=["2", 0]),
        "b": node("Show", value=["3", 0]),
    }
    assert (await make.validate(graph)).prompt["2"]["inputs"] == {"texts": ["1", 0]}
    outputs = (await make.run(graph)).finished.outputs
    assert [outputs[key]["text"] for key in "ab"] == [["A"], ["B"]]


async def test_an_input_that_the_class_does_not_know_is_ignored(system: Make) -> None:
    graph = _sizes_of(width=3, height=4, gone="literal", moved=["5", 0])
    graph["5"] = node("Value", value=7)
    result = await system(**OURS).run(graph)
    assert result.finished.outputs["h"]["text"] == ["4"]
    assert "5" in result.executing


async def test_an_unknown_input_of_a_class_with_choices_is_ignored(system: Make) -> None:
    graph = _sizes_of(width=8, height=4)
    graph["3"] = node(
        "ResizeImageMaskNode",
        input=["1", 0],
        scale_method="area",
        resize_type="scale width",
        moved=["1", 0],
        **{"resize_type.width": 2, "resize_type.gone": ["1", 0]},
    )
    graph["2"]["inputs"]["image"] = ["3", 0]
    result = await system(**OURS).run(graph)
    assert result.finished.outputs["h"]["text"] == ["1"]


async def test_a_class_of_a_pack_that_derives_from_ours_does_the_same(system: Make) -> None:
    class Derived(Node):
        REQUIRED = inputs(text=("STRING", {"default": "from the class"}))
        RETURN_TYPES = ("STRING",)

        def run(self, text: str) -> tuple[str]:
            return (text,)

    graph = {"1": node("Derived", other=["3", 0]), "2": node("Show", value=["1", 0])}
    graph["3"] = node("Value", value=1)
    result = await system(Derived=Derived).run(graph)
    assert result.finished.outputs["2"]["text"] == ["from the class"]
