"""Runs put together of parts: that they are the KSampler's, what they tell, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.load import Checkpoint
from models.protocol.custom import add_noise, sample_with_guider, sample_with_prompts
from models.protocol.guider import CFGGuider
from models.protocol.guiders import BasicGuider, DualCFGGuider, PerpNegGuider
from models.protocol.k_samplers import configured, ksampler, sampler_object
from models.protocol.noise_objects import NoNoise, RandomNoise
from models.sampling.samplers import SAMPLERS
from models.sampling.samplers.registry import LCM_UPSCALE
from models.sampling.schedulers import sigmas_for_run
from tests.models.protocol.test_sampling import latent, prompt, run

POSITIVE, NEGATIVE, OTHER = prompt(1), prompt(2), prompt(5)


def nothing(step: int, total: int, denoised: Tensor, x: Tensor) -> None:
    """Progress that nobody looks at."""


def sigmas(tiny: Checkpoint, sampler: str = "euler") -> Tensor:
    return sigmas_for_run(tiny.model.schedule, "normal", 4, sampler_name=sampler)


def guided(tiny: Checkpoint, cfg: float = 5.0) -> CFGGuider:
    guider = CFGGuider(tiny.model)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(cfg)
    return guider


def sampled(
    tiny: Checkpoint, guider: CFGGuider, start: dict[str, Any] | None = None, name: str = "euler"
) -> Tensor:
    output, _ = sample_with_guider(
        guider,
        RandomNoise(11),
        sampler_object(name),
        sigmas(tiny, name),
        start or latent(),
        nothing,
    )
    result: Tensor = output["samples"]
    return result


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_of_parts_is_what_the_ksampler_does(tiny: Checkpoint, name: str) -> None:
    plain = run(tiny.model, sampler_name=name)
    assert torch.allclose(sampled(tiny, guided(tiny), name=name), plain, atol=1e-4)


@pytest.mark.parametrize(
    "start",
    [
        latent(batch_index=[2]),
        latent(noise_mask=torch.eye(8)[None, None]),
        {"samples": torch.zeros(2, 16, 8, 8)},
    ],
    ids=["batch index", "mask", "empty of other channels"],
)
def test_a_latent_is_treated_as_by_the_ksampler(tiny: Checkpoint, start: dict[str, Any]) -> None:
    plain = run(tiny.model, start=start)
    assert torch.allclose(sampled(tiny, guided(tiny), start), plain, atol=1e-5)


def test_the_node_with_prompts_and_the_one_with_a_guider_agree(tiny: Checkpoint) -> None:
    output, _ = sample_with_prompts(
        tiny.model,
        RandomNoise(11),
        seed=11,
        cfg=5.0,
        positive=POSITIVE,
        negative=NEGATIVE,
        sampler=ksampler("euler_ancestral"),
        sigmas=sigmas(tiny),
        latent=latent(),
        progress=nothing,
    )
    expected = sampled(tiny, guided(tiny), name="euler_ancestral")
    assert torch.equal(output["samples"], expected)


def test_entries_of_the_latent_beside_its_samples_stay(tiny: Checkpoint) -> None:
    start = latent(batch_index=[0], type="image")
    both = sample_with_guider(
        guided(tiny), NoNoise(), ksampler("euler"), sigmas(tiny), start, nothing
    )
    for value in both:
        assert value.keys() == start.keys()
        assert value["batch_index"] == [0]


def test_the_second_latent_is_the_last_prediction(tiny: Checkpoint) -> None:
    seen: list[Tensor] = []
    _, denoised = sample_with_guider(
        guided(tiny),
        RandomNoise(3),
        ksampler("euler"),
        sigmas(tiny)[:3],
        latent(),
        lambda step, total, prediction, x: seen.append(prediction),
    )
    assert len(seen) == 2
    assert torch.equal(denoised["samples"], tiny.model.latent_format.scale_out(seen[-1]))


def test_a_run_leaves_the_list_of_sigmas_as_it_was(tiny: Checkpoint) -> None:
    given = sigmas(tiny)
    before = given.clone()
    sample_with_guider(
        guided(tiny), RandomNoise(1), sampler_object("uni_pc"), given, latent(), nothing
    )
    assert torch.equal(given, before)


def test_a_run_ends_when_its_progress_raises(tiny: Checkpoint) -> None:
    steps: list[int] = []

    def stop(step: int, total: int, denoised: Tensor, x: Tensor) -> None:
        steps.append(step)
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_with_guider(
            guided(tiny), RandomNoise(1), ksampler("heun"), sigmas(tiny), latent(), stop
        )
    assert steps == [0, 1]
    assert torch.isfinite(sampled(tiny, guided(tiny))).all()  # the model is as it was


def test_one_prompt_without_guidance_is_a_scale_of_one(tiny: Checkpoint) -> None:
    basic = BasicGuider(tiny.model)
    basic.set_conds(POSITIVE)
    assert torch.equal(sampled(tiny, basic), sampled(tiny, guided(tiny, cfg=1.0)))


@pytest.mark.parametrize("nested", [False, True])
def test_two_prompts_that_are_one_leave_guidance_from_the_negative(
    tiny: Checkpoint, nested: bool
) -> None:
    dual = DualCFGGuider(tiny.model)
    dual.set_conds(POSITIVE, POSITIVE, NEGATIVE)
    dual.set_cfg(3.0, 5.0, nested=nested)
    assert torch.allclose(sampled(tiny, dual), sampled(tiny, guided(tiny)), atol=1e-4)


def test_nested_and_regular_scales_differ(tiny: Checkpoint) -> None:
    results = []
    for nested in (False, True):
        dual = DualCFGGuider(tiny.model)
        dual.set_conds(POSITIVE, OTHER, NEGATIVE)
        dual.set_cfg(3.0, 5.0, nested=nested)
        results.append(sampled(tiny, dual))
    assert not torch.allclose(results[0], results[1], atol=1e-3)


def test_an_unneeded_negative_prompt_is_not_evaluated(tiny: Checkpoint) -> None:
    model, sides = tiny.model.clone(), []

    def watch(call: Any, told: dict[str, Any]) -> Tensor:
        sides.append(told["cond_or_uncond"])
        result: Tensor = call(told["input"], told["timestep"], **told["c"])
        return result

    model.set_model_unet_function_wrapper(watch)
    dual = DualCFGGuider(model)
    dual.set_conds(POSITIVE, OTHER, NEGATIVE)
    dual.set_cfg(3.0, 1.0)
    sampled(tiny, dual)
    assert sides == [[1, 2]] * 4


def test_a_negative_like_the_empty_prompt_adds_nothing_to_perp_neg(tiny: Checkpoint) -> None:
    guider = PerpNegGuider(tiny.model)
    guider.set_conds(POSITIVE, NEGATIVE, NEGATIVE)
    guider.set_cfg(5.0, 1.0)
    assert torch.allclose(sampled(tiny, guider), sampled(tiny, guided(tiny)), atol=1e-4)


def test_functions_after_guidance_see_what_special_guiders_predicted(tiny: Checkpoint) -> None:
    model = tiny.model.clone()
    seen: set[str] = set()

    def look(told: dict[str, Any]) -> Tensor:
        seen.update(told)
        denoised: Tensor = told["denoised"]
        return denoised

    model.set_model_sampler_post_cfg_function(look)
    dual, perp = DualCFGGuider(model), PerpNegGuider(model)
    dual.set_conds(POSITIVE, OTHER, NEGATIVE)
    dual.set_cfg(3.0, 2.0)
    perp.set_conds(POSITIVE, NEGATIVE, OTHER)
    perp.set_cfg(5.0, 1.0)
    sampled(tiny, dual)
    sampled(tiny, perp)
    assert {"cond_denoised", "uncond_denoised", "middle_cond_denoised"} < seen
    assert {"empty_cond_denoised", "cond_scale", "sigma", "input"} < seen


def test_a_growing_latent_is_drawn_from_its_seed(tiny: Checkpoint) -> None:
    results = []
    for seed in (5, 5, 6):
        output, _ = sample_with_guider(
            guided(tiny),
            RandomNoise(seed),
            configured(LCM_UPSCALE, {"total_upscale": 2.0}),
            sigmas(tiny),
            latent(),
            nothing,
        )
        results.append(output["samples"])
    assert results[0].shape == (1, 4, 16, 16)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_noise_is_added_as_a_run_would_take_it_off(tiny: Checkpoint) -> None:
    start = latent()
    model = tiny.model
    drawn = RandomNoise(4).generate_noise(start)
    amount = 3.0 - 1.0
    noisy = add_noise(model, RandomNoise(4), torch.tensor([3.0, 2.0, 1.0]), start)
    clean = model.latent_format.scale_in(start["samples"])
    expected = model.latent_format.scale_out(clean + drawn * amount)
    assert torch.allclose(noisy["samples"], expected, atol=1e-5)


def test_noise_of_one_sigma_is_that_much_and_of_none_is_none(tiny: Checkpoint) -> None:
    start = latent()
    one = add_noise(tiny.model, RandomNoise(4), torch.tensor([2.0]), start)
    two = add_noise(tiny.model, RandomNoise(4), torch.tensor([2.0, 0.0]), start)
    assert torch.equal(one["samples"], two["samples"])
    assert add_noise(tiny.model, RandomNoise(4), torch.empty(0), start) == start


@pytest.mark.parametrize("levels", [[0.0, 0.5, 2.0, 9.0], [9.0, 3.0, 3.0, 1.0, 0.0]])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_that_cannot_go_along_sigmas_says_so(
    tiny: Checkpoint, name: str, levels: list[float]
) -> None:
    sampler = sampler_object(name)
    try:
        output, _ = sample_with_guider(
            guided(tiny), RandomNoise(11), sampler, torch.tensor(levels), latent(), nothing
        )
    except InvalidInput as error:
        assert "fall from step to step" in str(error)
        assert name != "euler" or levels[0] == 0
    else:
        assert output["samples"].shape == (1, 4, 8, 8)
