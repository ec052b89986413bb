"""Options that tell models more than the prompt."""

from __future__ import annotations

import pytest
import torch

from models.conditioning import Conditioning
from nodes.model_options import (
    ConditioningStableAudio,
    FluxDisableGuidance,
    FluxGuidance,
    FluxKontextMultiReferenceLatentMethod,
    LTXVConditioning,
    ReferenceLatent,
)

PROMPT: Conditioning = [[torch.ones(1, 2, 3), {"strength": 0.5}], [torch.zeros(1, 2, 3), {}]]


def test_pictures_to_refer_to_add_up_and_leave_the_first_conditioning_alone() -> None:
    one, two = torch.rand(1, 4, 2, 2), torch.rand(1, 4, 3, 3)
    (first,) = ReferenceLatent().run(PROMPT, {"samples": one})
    (both,) = ReferenceLatent().run(first, {"samples": two})
    for _, options in both:
        assert [id(latent) for latent in options["reference_latents"]] == [id(one), id(two)]
    assert all(len(options["reference_latents"]) == 1 for _, options in first)
    assert "reference_latents" not in PROMPT[0][1]


def test_no_picture_to_refer_to_changes_nothing() -> None:
    (made,) = ReferenceLatent().run(PROMPT)
    assert made is PROMPT


def test_guidance_is_a_number_or_switched_off() -> None:
    (guided,) = FluxGuidance().run(PROMPT, 1.5)
    assert [options["guidance"] for _, options in guided] == [1.5, 1.5]
    (free,) = FluxDisableGuidance().run(guided)
    assert [options["guidance"] for _, options in free] == [None, None]
    assert free[0][1]["strength"] == 0.5


def test_the_method_of_placing_pictures_is_passed_on() -> None:
    (made,) = FluxKontextMultiReferenceLatentMethod().run(PROMPT, "index")
    assert {options["reference_latents_method"] for _, options in made} == {"index"}


@pytest.mark.parametrize("side", [0, 1])
def test_times_are_said_to_both_sides(side: int) -> None:
    film = LTXVConditioning().run(PROMPT, PROMPT, 24.0)[side]
    assert [options["frame_rate"] for _, options in film] == [24.0, 24.0]
    sound = ConditioningStableAudio().run(PROMPT, PROMPT, 1.0, 30.0)[side]
    assert [(o["seconds_start"], o["seconds_total"]) for _, o in sound] == [(1.0, 30.0)] * 2
