"""What is done to CONDITIONING values, computed by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.conditioning import appended, average, concatenate, masked, with_options, zeroed
from models.errors import InvalidInput


def entry(value: float, tokens: int = 2, **options: object) -> list[object]:
    return [torch.full((1, tokens, 3), value), dict(options)]


def test_an_average_mixes_contexts_and_pooled_outputs() -> None:
    to = [entry(1.0, pooled_output=torch.tensor([[2.0]]), strength=0.5)]
    other = [entry(3.0, pooled_output=torch.tensor([[6.0]]), strength=0.1)]
    [[context, options]] = average(to, other, 0.25)
    assert torch.equal(context, torch.full((1, 2, 3), 0.25 * 1 + 0.75 * 3))
    assert options["pooled_output"].item() == 0.25 * 2 + 0.75 * 6
    assert options["strength"] == 0.5


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1, [2.0, 0.5, 0.5]), (3, [2.0, 2.0, 2.0]), (5, [2.0, 2.0, 2.0])]
)
def test_an_average_cuts_or_pads_the_other_context(tokens: int, expected: list[float]) -> None:
    [[context, _]] = average([entry(1.0, 3)], [entry(3.0, tokens)], 0.5)
    assert context[0, :, 0].tolist() == expected


def test_an_average_takes_a_pooled_output_that_only_one_has() -> None:
    pooled = torch.tensor([[4.0]])
    [[_, first]] = average([entry(1.0, pooled_output=pooled)], [entry(3.0)], 0.25)
    [[_, second]] = average([entry(1.0)], [entry(3.0, pooled_output=pooled)], 0.25)
    [[_, neither]] = average([entry(1.0)], [entry(3.0)], 0.25)
    assert torch.equal(first["pooled_output"], pooled)
    assert torch.equal(second["pooled_output"], pooled)
    assert "pooled_output" not in neither


@pytest.mark.parametrize("mix", [concatenate, lambda to, other: average(to, other, 0.5)])
def test_prompts_for_different_models_are_not_mixed(mix: Callable[..., Any]) -> None:
    wide = [[torch.ones(1, 2, 7), {}]]
    with pytest.raises(InvalidInput, match="3 and 7 channels"):
        mix([entry(1.0)], wide)


def test_contexts_join_along_the_tokens() -> None:
    joined = concatenate([entry(1.0, 1, strength=2.0), entry(5.0, 1)], [entry(3.0, 2)])
    assert [context[0, :, 0].tolist() for context, _ in joined] == [[1, 3, 3], [5, 3, 3]]
    assert joined[0][1] == {"strength": 2.0}


def test_entries_that_take_no_part_in_a_mix_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        concatenate([entry(1.0)], [entry(3.0), entry(4.0)])
    assert "only the first of 2 entries" in caplog.text


def test_nothing_cannot_be_mixed_in() -> None:
    with pytest.raises(InvalidInput, match="without entries"):
        average([entry(1.0)], [], 0.5)


def test_a_zeroed_prompt_keeps_its_shape_and_what_is_no_text() -> None:
    mask = torch.ones(1, 2, 2)
    [[context, options]] = zeroed([entry(1.0, pooled_output=torch.ones(1, 4), mask=mask)])
    assert torch.equal(context, torch.zeros(1, 2, 3))
    assert torch.equal(options["pooled_output"], torch.zeros(1, 4))
    assert options["mask"] is mask


def test_a_prompt_without_a_pooled_output_can_be_zeroed() -> None:
    [[_, options]] = zeroed([entry(1.0, pooled_output=None)])
    assert options == {"pooled_output": None}


def test_options_are_added_to_a_copy() -> None:
    original = [entry(1.0, strength=1.0)]
    assert with_options(original, {"strength": 2.0, "area": (1, 1, 0, 0)})[0][1] == {
        "strength": 2.0, "area": (1, 1, 0, 0),
    }  # fmt: skip
    assert original[0][1] == {"strength": 1.0}


def test_lists_grow_in_a_copy() -> None:
    original = [entry(1.0, latents=[1])]
    assert appended(original, "latents", [2])[0][1] == {"latents": [1, 2]}
    assert appended([entry(1.0)], "latents", [2])[0][1] == {"latents": [2]}
    assert original[0][1] == {"latents": [1]}


def test_a_mask_without_a_batch_gets_one() -> None:
    [[_, options]] = masked([entry(1.0)], torch.ones(4, 5), 0.5, cropped=True)
    assert options["mask"].shape == (1, 4, 5)
    assert (options["set_area_to_bounds"], options["mask_strength"]) == (True, 0.5)
