"""Edge cases of sampling as the KSampler nodes define it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.sampling.guidance import CfgGuider
from models.sampling.noise import MAX_SEED, prepare_noise
from models.sampling.run import run_sampler
from models.sampling.sample import fit_empty_latent, sample_latent
from models.sampling.samplers import SAMPLERS
from models.sampling.schedule import FlowSchedule
from tests.models.sampling.toy import MeanModel, latent_format, prompt

SHAPE = (1, 4, 4, 4)


def run(model: MeanModel | None = None, **changes: Any) -> Tensor:
    options: dict[str, Any] = {
        "latent": {"samples": torch.zeros(SHAPE)},
        "seed": 1,
        "steps": 4,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": prompt(0.5),
        "negative": prompt(-0.5),
    } | changes
    latent = options.pop("latent")
    samples: Tensor = sample_latent(model or MeanModel(), latent, **options)["samples"]
    return samples


def test_a_full_run_ends_at_the_prediction() -> None:
    assert torch.allclose(run(), torch.full(SHAPE, 0.5), atol=1e-5)


def test_guidance_goes_beyond_the_positive_prediction() -> None:
    assert torch.allclose(run(cfg=3.0), torch.full(SHAPE, 2.5), atol=1e-5)


@pytest.mark.parametrize("denoise", [0.0, -1.0])
def test_without_denoising_the_latent_comes_back_untouched(denoise: float) -> None:
    latent = torch.randn(SHAPE)
    assert torch.equal(run(latent={"samples": latent}, denoise=denoise), latent)


def test_a_start_at_the_last_step_returns_the_latent() -> None:
    latent = torch.randn(SHAPE)
    assert torch.equal(run(latent={"samples": latent}, start_step=4), latent)
    assert torch.equal(run(latent={"samples": latent}, start_step=10000), latent)


def test_an_end_before_the_start_returns_the_latent() -> None:
    latent = torch.randn(SHAPE)
    assert torch.equal(run(latent={"samples": latent}, start_step=3, last_step=2), latent)


def test_an_early_end_leaves_noise_unless_told_otherwise() -> None:
    left = run(last_step=2)
    full = run(last_step=2, force_full_denoise=True)
    assert float((left - 0.5).abs().max()) > 0.5
    assert torch.allclose(full, torch.full(SHAPE, 0.5), atol=1e-5)


def test_the_other_entries_of_a_latent_are_kept_and_the_input_is_not_changed() -> None:
    latent = {"samples": torch.zeros(SHAPE), "batch_index": [3], "note": "kept"}
    result = sample_latent(
        MeanModel(),
        latent,
        seed=1,
        steps=1,
        cfg=1.0,
        sampler_name="euler",
        scheduler="simple",
        positive=prompt(1.0),
        negative=prompt(0.0),
    )
    assert result["note"] == "kept"
    assert result["batch_index"] == [3]
    assert not latent["samples"].any()  # type: ignore[attr-defined]


def test_a_raising_callback_stops_the_run() -> None:
    class Interrupted(Exception):
        pass

    seen: list[int] = []

    def interrupt(step: int, total: int, denoised: Tensor, x: Tensor) -> None:
        seen.append(step)
        assert total == 4
        if step == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(callback=interrupt)
    assert seen == [0, 1]


def test_the_largest_seed_draws_initial_noise() -> None:
    assert torch.isfinite(run(seed=MAX_SEED)).all()


@pytest.mark.parametrize("name", ["euler_ancestral", "ddim"])
def test_the_largest_seed_fails_where_seed_plus_one_is_needed(name: str) -> None:
    with pytest.raises(ValueError, match="seed 18446744073709551616"):
        run(seed=MAX_SEED, sampler_name=name)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_a_seed_out_of_range_says_so(seed: int) -> None:
    with pytest.raises(ValueError, match=r"not between 0 and 2\*\*64 - 1"):
        run(seed=seed)


def test_a_scheduler_that_divides_by_zero_gives_nan_not_an_error() -> None:
    assert run(scheduler="kl_optimal", steps=1).isnan().all()


def test_a_brownian_sampler_without_positive_sigmas_says_so() -> None:
    with pytest.raises(ValueError, match="no positive sigma"):
        run(scheduler="kl_optimal", steps=1, sampler_name="dpmpp_2m_sde")


def test_unknown_names_mean_euler_and_simple() -> None:
    expected = run(scheduler="simple", last_step=2)
    assert torch.equal(run(scheduler="?", sampler_name="?", last_step=2), expected)


def test_a_mask_keeps_what_it_does_not_cover() -> None:
    latent = torch.full(SHAPE, 3.0)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1.0
    result = run(latent={"samples": latent, "noise_mask": mask})
    assert torch.allclose(result[..., 3], torch.tensor(3.0), atol=1e-4)
    assert torch.allclose(result[..., 0], torch.tensor(0.5), atol=1e-4)


def test_only_a_latent_with_content_is_scaled_into_model_space() -> None:
    model = MeanModel(space=latent_format(scale=2.0, shift=1.0))
    mask = torch.zeros(1, 1, 4, 4)
    kept = run(model, latent={"samples": torch.full(SHAPE, 3.0), "noise_mask": mask})
    empty = run(model, latent={"samples": torch.zeros(SHAPE), "noise_mask": mask})
    assert torch.allclose(kept, torch.full(SHAPE, 3.0), atol=1e-4)
    assert torch.allclose(empty, torch.full(SHAPE, 1.0), atol=1e-4)  # 0 in model space
    assert torch.allclose(run(model), torch.full(SHAPE, 1.25), atol=1e-5)


def test_an_empty_latent_gets_the_channels_of_the_model() -> None:
    model = MeanModel(space=latent_format(16))
    assert fit_empty_latent(model, torch.zeros(2, 4, 8, 8)).shape == (2, 16, 8, 8)
    full = torch.ones(2, 4, 8, 8)
    assert fit_empty_latent(model, full) is full


def test_flow_models_start_from_pure_noise_and_end_clean() -> None:
    assert torch.allclose(run(MeanModel(FlowSchedule(3.0))), torch.full(SHAPE, 0.5), atol=1e-5)


def test_a_single_unipc_step_only_rescales() -> None:
    result = run(sampler_name="uni_pc", scheduler="karras", steps=1)
    assert torch.allclose(result, prepare_noise(torch.zeros(SHAPE), 1), atol=1e-4)


STEPS = [
    (name, steps)
    for name in SAMPLERS
    for steps in (1, 2, 7)
    if not (name.startswith("uni_pc") and steps == 1)  # see above
]


@pytest.mark.parametrize(("name", "steps"), STEPS)
def test_every_sampler_ends_at_a_constant_prediction(name: str, steps: int) -> None:
    result = run(sampler_name=name, scheduler="karras", steps=steps)
    if name in ("dpm_fast", "dpm_adaptive"):  # they end at the last positive sigma
        assert torch.isfinite(result).all()
    else:
        assert torch.allclose(result, torch.full(SHAPE, 0.5), atol=1e-2)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("places", ["first", "middle", "last"])
def test_a_sampler_goes_along_levels_that_repeat_or_refuses_them(name: str, places: str) -> None:
    sigmas = {
        "first": [10.0, 10.0, 5.0, 2.0, 1.0, 0.0],
        "middle": [10.0, 5.0, 5.0, 5.0, 1.0, 0.0],
        "last": [10.0, 5.0, 1.0, 1.0, 0.0],
    }[places]
    model = MeanModel()
    guider = CfgGuider(prompt(0.5), prompt(-0.5), 2.0)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    try:
        latent = run_sampler(
            model, noise, sigmas, sampler=SAMPLERS[name], guider=guider,
            latent=torch.zeros(SHAPE), seed=1,
        )  # fmt: skip
    except InvalidInput as error:
        assert "cannot go along the sigmas 10, " in str(error)
    else:
        assert latent.isfinite().all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_repeats_itself_and_heeds_the_seed(name: str) -> None:
    first, again, other = (
        run(sampler_name=name, last_step=2, steps=5, seed=seed) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert torch.isfinite(first).all()
    assert not torch.equal(first, other)
