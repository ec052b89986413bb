"""Evaluations that are left out, and what stands in their place."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from models.load import Checkpoint
from models.output_reuse import Course
from models.protocol.sampling import sample_latent
from nodes.output_reuse import EasyCache, LazyCache
from nodes.unet_patches import PerturbedAttentionGuidance

X = torch.ones(1, 2, 2)


def test_the_estimate_keeps_the_offset_of_the_last_evaluation() -> None:
    course = Course(threshold=1.0)
    course.note(4 * X, 8 * X)
    course.note(3 * X, 7 * X)  # follows the input at the rate 1
    found = course.estimate(2.5 * X, allowed=True)
    assert found is not None and torch.equal(found, 6.5 * X)  # off by 0.5 / 7


def test_errors_add_up_until_they_reach_the_threshold() -> None:
    course = Course(threshold=0.25)
    course.note(4 * X, 10 * X)
    course.note(3 * X, 10.5 * X)  # at the rate 0.5
    steps = [course.estimate(x * X, allowed=True) for x in (1.0, 0.0, -1.5)]
    # 0.5 2 / 10.5, then 0.5 1 / 8.5 and 0.5 1.5 / 7.5 more
    assert [found is None for found in steps] == [False, False, True]
    assert (course.evaluated, course.estimated) == (2, 2)


def test_nothing_is_left_out_before_there_is_a_rate_and_where_it_is_not_allowed() -> None:
    course = Course(threshold=100.0)
    assert course.estimate(X, allowed=True) is None
    course.note(2 * X, 2 * X)
    assert course.estimate(X, allowed=True) is None
    course.note(X, X)
    assert course.estimate(0.9 * X, allowed=False) is None
    assert course.estimate(0.8 * X, allowed=True) is not None


def test_networks_may_see_more_channels_than_they_give() -> None:
    course = Course(threshold=100.0)
    wide = torch.ones(1, 3, 2)
    course.note(2 * wide, 5 * wide[:, :1])
    course.note(wide, 4 * wide[:, :1])
    found = course.estimate(0 * wide, allowed=True)
    assert found is not None and torch.equal(found, 3 * wide[:, :1])


def run(model: Any, *, steps: int = 8, cfg: float = 3.0) -> Tensor:
    contexts = [
        torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)
    ]
    positive, negative = ([[context, {}]] for context in contexts)
    latent = {"samples": torch.zeros(1, 4, 4, 4)}
    found: Tensor = sample_latent(
        model, latent, seed=3, steps=steps, cfg=cfg, sampler_name="euler", scheduler="normal",
        positive=positive, negative=negative,
    )["samples"]  # fmt: skip
    return found


@pytest.mark.parametrize("node", [EasyCache, LazyCache])
def test_a_threshold_of_0_changes_nothing(tiny: Checkpoint, node: type[Any]) -> None:
    (model,) = node().run(tiny.model, 0.0, 0.0, 1.0, False)
    torch.testing.assert_close(run(model), run(tiny.model), rtol=0, atol=1e-5)


@pytest.mark.parametrize("node", [EasyCache, LazyCache])
def test_evaluations_are_left_out_in_every_run_anew(
    tiny: Checkpoint, node: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    (model,) = node().run(tiny.model, 3.0, 0.2, 0.9, True)
    with caplog.at_level(logging.INFO):
        first, second = run(model), run(model)
    assert torch.isfinite(first).all() and torch.equal(first, second)
    said = [record.getMessage() for record in caplog.records if "left out" in record.message]
    assert len(said) == 2 and said[0] == said[1]
    assert "0 left out" not in said[0]


def test_a_call_with_other_attention_is_another_function(tiny: Checkpoint) -> None:
    (guided,) = PerturbedAttentionGuidance().run(tiny.model, 3.0)
    (model,) = EasyCache().run(guided, 0.05, 0.0, 1.0, False)
    without = run(EasyCache().run(tiny.model, 0.05, 0.0, 1.0, False)[0], cfg=1.0)
    assert not torch.allclose(run(model, cfg=1.0), without, atol=1e-3)
