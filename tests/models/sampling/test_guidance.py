"""How conditionings become model calls."""

from __future__ import annotations

import pytest
import torch

from models.sampling.guidance import CfgGuider, Predictor
from tests.models.sampling.toy import MeanModel, prompt

X = torch.zeros(2, 4, 8, 8)


def test_positive_and_negative_share_one_call() -> None:
    model = MeanModel()
    denoiser = CfgGuider(prompt(1.0), prompt(0.0), 2.0).prepare(model, X, None)
    assert torch.equal(denoiser(X, 1.0), torch.full_like(X, 2.0))
    assert model.contexts == [(4, 1, 2)]


def test_a_scale_of_one_leaves_the_negative_prompt_out() -> None:
    model = MeanModel()
    denoiser = CfgGuider(prompt(1.0), prompt(0.0), 1.0).prepare(model, X, None)
    denoiser(X, 1.0)
    assert model.contexts == [(2, 1, 2)]
    assert torch.equal(denoiser.with_unconditional(X, 1.0)[1], torch.zeros_like(X))


def test_contexts_of_different_length_are_repeated_to_share_a_call() -> None:
    model = MeanModel()
    Predictor(model, [prompt(1.0, tokens=77), prompt(0.0, tokens=154)], X).predict(X, 1.0, [0, 1])
    assert model.contexts == [(4, 154, 2)]


def test_contexts_of_different_length_get_calls_of_their_own_where_repeats_would_be_seen() -> None:
    model = MeanModel()
    model.stretches_context = False
    Predictor(model, [prompt(1.0, tokens=77), prompt(0.0, tokens=154)], X).predict(X, 1.0, [0, 1])
    assert sorted(model.contexts) == [(2, 77, 2), (2, 154, 2)]


def test_contexts_too_different_in_length_get_calls_of_their_own() -> None:
    model = MeanModel()
    Predictor(model, [prompt(1.0, tokens=7), prompt(0.0, tokens=77)], X).predict(X, 1.0, [0, 1])
    assert sorted(model.contexts) == [(2, 7, 2), (2, 77, 2)]


def test_extra_tensors_are_repeated_to_the_batch() -> None:
    model = MeanModel()
    sides = [prompt(1.0, pooled=torch.ones(1, 3)), prompt(0.0, pooled=torch.zeros(1, 3))]
    Predictor(model, sides, X).predict(X, 1.0, [0, 1])
    assert model.pooled[0].tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2


def test_entries_with_and_without_extra_tensors_do_not_share_a_call() -> None:
    model = MeanModel()
    sides = [prompt(1.0, pooled=torch.ones(1, 3)), prompt(0.0)]
    Predictor(model, sides, X).predict(X, 1.0, [0, 1])
    assert len(model.contexts) == 2


def test_strengths_weigh_the_predictions_of_a_side() -> None:
    side = prompt(1.0, strength=3.0) + prompt(-1.0, strength=1.0)
    [mixed] = Predictor(MeanModel(), [side], X).predict(X, 1.0, [0])
    assert mixed[0, 0, 0, 0].item() == pytest.approx(0.5)


def test_a_side_without_active_entries_predicts_zero() -> None:
    model = MeanModel()
    side = prompt(1.0, start_percent=0.0, end_percent=0.5)
    [early] = Predictor(model, [side], X).predict(X, 14.0, [0])
    [late] = Predictor(model, [side], X).predict(X, 0.1, [0])
    assert early.min() == 1.0
    assert not late.any()


def test_an_area_beyond_the_latent_has_no_effect() -> None:
    side = prompt(1.0, area=(4, 4, 20, 20)) + prompt(-1.0)
    [mixed] = Predictor(MeanModel(), [side], X).predict(X, 1.0, [0])
    assert torch.equal(mixed, torch.full_like(X, -1.0))


def test_pixels_that_no_area_covers_are_zero() -> None:
    side = prompt(1.0, area=(4, 4, 0, 0))
    [mixed] = Predictor(MeanModel(), [side], X).predict(X, 1.0, [0])
    assert mixed[..., :3, :3].min() == 1.0
    assert not mixed[..., 4:, 4:].any()


def test_an_empty_mask_is_bounded_by_the_smallest_box() -> None:
    x = torch.zeros(1, 4, 16, 16)
    side = prompt(1.0, mask=torch.zeros(1, 64, 64), set_area_to_bounds=True)
    [mixed] = Predictor(MeanModel(), [side], x).predict(x, 1.0, [0])
    assert not mixed.any()


def test_video_latents_take_masks_and_areas_over_their_pictures() -> None:
    x = torch.zeros(1, 4, 3, 8, 8)
    mask = torch.zeros(1, 8, 8)
    mask[..., :4] = 1.0
    side = prompt(1.0, mask=mask) + prompt(-1.0, area=(8, 4, 0, 4))
    [mixed] = Predictor(MeanModel(), [side], x).predict(x, 1.0, [0])
    assert mixed[..., 0].min() == 1.0
    assert mixed[..., 7].max() == -1.0


class SmallMemory(MeanModel):
    """Bears two items at once."""

    bears = 2
    refused = 0

    def denoised(
        self, x: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor, **more: torch.Tensor
    ) -> torch.Tensor:
        if len(x) > self.bears:
            self.refused += 1
            raise torch.OutOfMemoryError("too much")
        return super().denoised(x, sigma, context, **more)


def test_sides_that_do_not_fit_into_memory_together_are_predicted_apart() -> None:
    model = SmallMemory()
    sides = [prompt(1.0, pooled=torch.ones(1, 3)), prompt(3.0, pooled=torch.zeros(1, 3))]
    positive, negative = Predictor(model, sides, X).predict(X, 1.0, [0, 1])
    assert torch.equal(positive, torch.ones_like(X))
    assert torch.equal(negative, torch.full_like(X, 3.0))
    assert [pooled.tolist() for pooled in model.pooled] == [[[1.0] * 3] * 2, [[0.0] * 3] * 2]


def test_latents_of_one_side_that_do_not_fit_into_memory_together_are_predicted_one_by_one() -> (
    None
):
    model, x = SmallMemory(), X.repeat(2, 1, 1, 1)
    pooled = torch.arange(4.0)[:, None]
    predictor = Predictor(model, [prompt(1.0, pooled=pooled), prompt(0.0, pooled=pooled)], x)
    for _ in range(2):
        positive, negative = predictor.predict(x, 1.0, [0, 1])
        assert torch.equal(positive, torch.ones_like(x))
        assert torch.equal(negative, torch.zeros_like(x))
    assert [shape[0] for shape in model.contexts] == [1] * 16
    assert [row.item() for row in model.pooled[:4]] == [0.0, 1.0, 2.0, 3.0]
    assert model.refused == 4  # the second step knows what is too large


def test_one_latent_that_does_not_fit_into_memory_is_an_error() -> None:
    model = SmallMemory()
    model.bears = 0
    with pytest.raises(torch.OutOfMemoryError):
        Predictor(model, [prompt(1.0)], X).predict(X, 1.0, [0])
