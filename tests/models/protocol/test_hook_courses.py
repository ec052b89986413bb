"""The course of hooks' strengths over a run, and groups of hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from models.keyframes import eased, series
from models.network import Network
from models.protocol.hooks import (
    Course,
    HookGroup,
    HookKeyframe,
    HookKeyframeGroup,
    Patches,
    WeightHook,
    keys,
    parts_of_run,
    strength_at,
)
from models.text.encoder import TextEncoder
from models.text.handle import TextHandle
from models.unet_patches.attention_scale import ScaledWeight


class Linear:
    """Noise levels from 1 to 0 in equal parts of the run."""

    def percent_to_sigma(self, percent: float) -> float:
        return 2.0 if percent <= 0 else 1.0 - percent


def frames(*pairs: tuple[float, float], steps: int = 1) -> HookKeyframeGroup:
    made = HookKeyframeGroup()
    for strength, start in pairs:
        made.add(HookKeyframe(strength, start, steps))
    return made


def strengths(keyframes: HookKeyframeGroup, sigmas: list[float]) -> list[float]:
    course = Course(keyframes, Linear(), sigmas[0])
    return [course.strength(sigma) for sigma in sigmas]


def test_a_keyframe_holds_until_the_next_one_begins() -> None:
    found = strengths(frames((1.0, 0.0), (0.5, 0.5), (0.0, 0.75)), [1.0, 0.8, 0.6, 0.5, 0.3, 0.1])
    assert found == [1.0, 1.0, 1.0, 0.5, 0.5, 0.0]


def test_a_keyframe_that_a_step_leaves_out_holds_for_its_guaranteed_steps() -> None:
    keyframes = frames((1.0, 0.0), (0.5, 0.5), (0.0, 0.55))
    assert strengths(keyframes, [1.0, 0.4, 0.3]) == [1.0, 0.5, 0.0]
    unguaranteed = frames((1.0, 0.0), (0.5, 0.5), (0.0, 0.55), steps=0)
    assert strengths(unguaranteed, [1.0, 0.4, 0.3]) == [1.0, 0.0, 0.0]


def test_keyframes_before_the_run_are_not_guaranteed_anything() -> None:
    assert strengths(frames((1.0, 0.0), (0.5, 0.2), (0.25, 0.3)), [0.6, 0.5]) == [0.25, 0.25]


def test_the_first_keyframe_holds_before_its_start() -> None:
    assert strengths(frames((0.7, 0.5)), [1.0, 0.2]) == [0.7, 0.7]


def test_without_keyframes_the_strength_is_one() -> None:
    assert strengths(HookKeyframeGroup(), [1.0, 0.5]) == [1.0, 1.0]


def test_asking_twice_at_a_level_counts_as_one_step() -> None:
    keyframes = frames((1.0, 0.0), (0.5, 0.1), steps=2)
    assert strengths(keyframes, [0.95, 0.95, 0.5, 0.4]) == [1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("easing", "middle"),
    [("linear", 0.5), ("ease_in", 0.25), ("ease_out", 0.75), ("ease_in_out", 0.5)],
)
def test_strengths_are_eased_between_their_ends(easing: str, middle: float) -> None:
    assert eased(0.0, 1.0, 3, easing) == pytest.approx([0.0, middle, 1.0])


def test_a_series_lies_at_equal_distances_after_what_was_there() -> None:
    made = series([1.0, 0.5, 0.0], 0.2, 0.8, frames((2.0, 0.0)))
    assert [(f.start_percent, f.strength) for f in made.keyframes] == [
        (0.0, 2.0), (0.2, 1.0), (pytest.approx(0.5), 0.5), (0.8, 0.0),
    ]  # fmt: skip
    assert [f.guarantee_steps for f in made.keyframes] == [1, 1, 0, 0]


def test_strengths_without_a_run_are_those_of_the_last_keyframe_begun() -> None:
    keyframes = frames((1.0, 0.1), (0.5, 0.6))
    assert [strength_at(keyframes, p) for p in (0.0, 0.1, 0.5, 0.6, 1.0)] == [1, 1, 1, 0.5, 0.5]


def test_a_run_has_a_part_for_each_change_of_any_hook() -> None:
    hooks = [WeightHook(), WeightHook()]
    hooks[0].hook_keyframe = frames((1.0, 0.0), (0.5, 0.5))
    hooks[1].hook_keyframe = frames((1.0, 0.25), (0.5, 1.0))
    assert parts_of_run(HookGroup(hooks)) == [(0.0, 0.25), (0.25, 0.5), (0.5, 1.0)]


class Source:
    """Makes new patches whenever it is asked."""

    def model_patches(self, network: Network[Any], strength: float) -> Patches:
        return {"model": [ScaledWeight(strength)]}

    def text_patches(self, encoder: TextEncoder, strength: float) -> Patches:
        return {"text": [ScaledWeight(strength)]}


def test_patches_of_a_strength_are_made_once_for_each_network() -> None:
    first, second = (Network(nn.Linear(1, 1), {}, torch.float32) for _ in range(2))
    hook = WeightHook(2.0, 3.0, Source())
    made = hook.model_patches(first, 0.5)
    assert made == {"model": [ScaledWeight(1.0)]}
    assert hook.clone().model_patches(first, 0.5) is made  # type: ignore[attr-defined]
    assert hook.model_patches(second, 0.5) is not made
    assert hook.model_patches(first, 0.25) == {"model": [ScaledWeight(0.5)]}
    assert WeightHook().model_patches(first, 1.0) == {}


def test_patches_of_text_encoders_have_a_strength_of_their_own(text: TextHandle) -> None:
    encoder = text.encoders["l"]
    hook = WeightHook(2.0, 3.0, Source())
    made = hook.text_patches(encoder, 0.5)
    assert made == {"text": [ScaledWeight(1.5)]}
    assert hook.text_patches(encoder, 0.5) is made
    assert hook.text_patches(encoder.patched({}), 0.5) is made


def test_a_copy_of_a_hook_is_the_same_hook() -> None:
    hook, other = WeightHook(), WeightHook()
    group = HookGroup([hook])
    combined = group.clone_and_combine(HookGroup([hook.clone(), other]))
    assert len(combined) == 2 and combined.contains(other)
    assert keys(group) == keys(group.clone()) != keys(combined)
    combined.remove(hook)
    assert keys(combined) == keys(HookGroup([other]))
    assert HookGroup.combine_all_hooks([None, None]) is None
