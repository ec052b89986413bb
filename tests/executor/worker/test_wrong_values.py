"""Values of other types than inputs take, as links of the type `*` carry them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from executor.worker.calls import Arguments
from executor.worker.wrong_values import wrong_values
from nodes.images import ImageInvert
from tests.executor.worker.harness import BASIC, Bench, Value, node


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("text", "of the type str"),
        (None, "nothing (None)"),
        (torch.zeros(3), "a tensor [3]"),
    ],
)
def test_an_error_of_python_says_which_input_got_what_it_does_not_take(
    value: Any, told: str
) -> None:
    class Gives(Value):
        def run(self, value: Any) -> tuple[Any]:
            return (given,)

    class Sides(Value):
        INPUT_TYPES = ImageInvert.INPUT_TYPES

        def run(self, image: Any) -> tuple[Any]:
            return (image.shape[1],)

    given = value
    graph = {
        "1": node("Gives", value=1),
        "2": node("Sides", image=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    error = Bench(BASIC | {"Gives": Gives, "Sides": Sides}).run(graph).error
    last = error["exception_message"].splitlines()[-1]
    assert last == f"The input 'image' takes IMAGE, a tensor [B, H, W, C]: it was {told}."


class Takes:
    """Inputs of several types."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"latent": ("LATENT",), "anything": ("*",), "mode": (["a"],), "odd": 5},
            "optional": {"mask": ("MASK",), "model": ("MODEL", {})},
        }


def test_arguments_that_fit_and_optional_ones_that_are_none_are_not_mentioned() -> None:
    fitting: Arguments = {
        "latent": [{"samples": torch.zeros(1)}],
        "anything": [None],
        "mode": [3],
        "odd": [1],
    }
    assert wrong_values(Takes, {**fitting, "mask": [None], "model": [None]}) == []
    (said,) = wrong_values(Takes, {**fitting, "latent": [{"samples": 5}], "more": [None]})
    assert said.startswith("The input 'latent' takes LATENT, an object with the tensor 'samples'")


def test_a_class_that_cannot_say_what_it_takes_is_left_alone() -> None:
    class Broken:
        @classmethod
        def INPUT_TYPES(cls) -> Any:
            raise KeyError("no")

    assert wrong_values(Broken, {"image": [5]}) == []
