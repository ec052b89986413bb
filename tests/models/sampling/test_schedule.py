"""Schedules: tables, times, percentages."""

from __future__ import annotations

import pytest
import torch

from models.sampling.continuous import CosineSchedule, EdmSchedule
from models.sampling.prediction import VELOCITY, Clean, Preconditioned
from models.sampling.schedule import DiscreteSchedule, FlowSchedule, FluxSchedule, Schedule
from models.sampling.schedulers import SCHEDULERS, calculate_sigmas, sigmas_for_run
from tests.models.sampling.toy import latent_format

SCHEDULES: list[Schedule] = [
    DiscreteSchedule.scaled_linear(),
    DiscreteSchedule.scaled_linear(VELOCITY, zero_snr=True),
    FlowSchedule(3.0),
    FluxSchedule(1.15),
    EdmSchedule(0.002, 80.0, Preconditioned(0.5)),
    CosineSchedule(),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sigmas_rise_and_times_lead_back_to_them(schedule: Schedule) -> None:
    assert schedule.sigmas.dtype == torch.float32
    assert (schedule.sigmas.diff() >= 0).all()
    middle = schedule.sigmas[len(schedule.sigmas) // 2 :][:1]
    back = schedule.sigma(schedule.timestep(middle))
    if not schedule.is_flow:  # flow networks are told sigma itself, which is bent already
        assert back.item() == pytest.approx(middle.item(), rel=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_percentages_outside_the_schedule_clamp(schedule: Schedule) -> None:
    assert schedule.percent_to_sigma(-1.0) >= schedule.sigma_max
    assert schedule.percent_to_sigma(1.0) == schedule.percent_to_sigma(2.0) == 0.0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_noise_and_its_inverse_meet(schedule: Schedule) -> None:
    latent, noise = torch.randn(2, 4, 3, 3), torch.zeros(2, 4, 3, 3)
    noisy = schedule.noise_latent(latent, noise, torch.tensor([0.5, 0.5]))
    assert torch.allclose(schedule.finish(noisy, 0.5), latent, atol=1e-6)


def test_times_of_a_discrete_schedule_are_indices() -> None:
    schedule = DiscreteSchedule.scaled_linear()
    times = schedule.timestep(torch.tensor([schedule.sigma_min, 1.0, schedule.sigma_max]))
    assert times.dtype == torch.int64
    assert times.tolist()[::2] == [0, 999]


def test_a_prediction_of_the_clean_latent_is_taken_as_it_is() -> None:
    output = torch.randn(1, 4, 2, 2)
    assert Clean().denoised(torch.randn(1, 4, 2, 2), 3.0, output) is output


def test_flux_bends_more_for_larger_pictures() -> None:
    assert FluxSchedule.mu_for(1024, 1024) == pytest.approx(1.15)
    assert FluxSchedule.mu_for(512, 768) == pytest.approx(0.7166667)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_fall_to_zero(name: str) -> None:
    sigmas = calculate_sigmas(SCHEDULES[0], name, 12)
    assert (sigmas.diff() < 0).all()
    assert sigmas[-1] == 0


def test_partial_denoising_keeps_the_end_of_a_longer_list() -> None:
    full = sigmas_for_run(SCHEDULES[0], "normal", 20, sampler_name="euler")
    half = sigmas_for_run(SCHEDULES[0], "normal", 10, sampler_name="euler", denoise=0.5)
    assert torch.equal(half, full[-11:])


def test_samplers_that_look_ahead_skip_the_last_but_one_sigma() -> None:
    longer = sigmas_for_run(SCHEDULES[0], "normal", 6, sampler_name="euler")
    skipped = sigmas_for_run(SCHEDULES[0], "normal", 5, sampler_name="uni_pc")
    assert skipped.tolist() == [*longer[:-2].tolist(), 0.0]


def test_latent_formats_scale_there_and_back() -> None:
    latent = torch.randn(1, 4, 2, 2)
    scaling = latent_format(scale=0.3611, shift=0.1159)
    assert torch.allclose(scaling.scale_out(scaling.scale_in(latent)), latent, atol=1e-6)
