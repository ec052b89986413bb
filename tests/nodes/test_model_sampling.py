"""Nodes that give a model other noise levels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.load import Checkpoint
from models.protocol.latent_formats import SDXL_Playground_2_5
from models.protocol.sampling import sample_latent
from models.sampling.continuous import AngleSchedule, CosineSchedule, EdmSchedule
from models.sampling.prediction import VELOCITY, Preconditioned
from models.sampling.schedule import DiscreteSchedule, FlowSchedule, FluxSchedule, Schedule
from nodes import model_sampling
from nodes.base import Node
from tests.models.conftest import policy, tiny, tiny_file

__all__ = ["policy", "tiny", "tiny_file"]

CASES: dict[str, tuple[type[Node], dict[str, Any], Schedule]] = {
    "v with zero SNR": (
        model_sampling.ModelSamplingDiscrete,
        {"sampling": "v_prediction", "zsnr": True},
        DiscreteSchedule.scaled_linear(VELOCITY, zero_snr=True),
    ),
    "edm": (
        model_sampling.ModelSamplingContinuousEDM,
        {"sampling": "edm", "sigma_max": 80.0, "sigma_min": 0.002},
        EdmSchedule(0.002, 80.0, Preconditioned(0.5)),
    ),
    "continuous v": (
        model_sampling.ModelSamplingContinuousV,
        {"sampling": "v_prediction", "sigma_max": 500.0, "sigma_min": 0.03},
        AngleSchedule(0.03, 500.0, VELOCITY),
    ),
    "cascade": (model_sampling.ModelSamplingStableCascade, {"shift": 2.0}, CosineSchedule(2.0)),
    "sd3": (model_sampling.ModelSamplingSD3, {"shift": 3.0}, FlowSchedule(3.0)),
    "aura": (model_sampling.ModelSamplingAuraFlow, {"shift": 1.7}, FlowSchedule(1.7, 1.0)),
    "flux": (
        model_sampling.ModelSamplingFlux,
        {"max_shift": 1.15, "base_shift": 0.5, "width": 512, "height": 768},
        FluxSchedule(0.7166666),
    ),
    "ltxv": (
        model_sampling.ModelSamplingLTXV,
        {
            "max_shift": 2.05,
            "base_shift": 0.95,
            "latent": {"samples": torch.zeros(1, 1, 4, 16, 16)},
        },
        FluxSchedule(0.95),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_clone_knows_the_levels_and_the_original_its_own(tiny: Checkpoint, name: str) -> None:
    node, given, expected = CASES[name]
    before = tiny.model.schedule
    (made,) = node().run(tiny.model, **given)
    sampling = made.get_model_object("model_sampling")
    torch.testing.assert_close(sampling.sigmas, expected.sigmas)
    sigma = torch.tensor([float(expected.sigmas[len(expected.sigmas) // 3])])
    torch.testing.assert_close(sampling.timestep(sigma), expected.timestep(sigma))
    x, output = torch.randn(2, 1, 4, 8, 8)
    torch.testing.assert_close(
        sampling.calculate_denoised(sigma, output, x), expected.denoised(x, sigma, output)
    )
    assert tiny.model.schedule is before


@pytest.mark.parametrize("name", CASES)
def test_a_model_with_other_levels_is_sampled_along_them(tiny: Checkpoint, name: str) -> None:
    node, given, expected = CASES[name]
    (made,) = node().run(tiny.model, **given)
    prompt = [[torch.randn(1, 77, 16), {}]]
    options = {"cfg": 2.0, "sampler_name": "euler", "scheduler": "simple", "steps": 2}
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    asked: list[float] = []

    def watch(call: Any, told: dict[str, Any]) -> torch.Tensor:
        asked.append(float(told["timestep"][0]))
        result: torch.Tensor = call(told["input"], told["timestep"], **told["c"])
        return result

    made.set_model_unet_function_wrapper(watch)
    sample_latent(made, latent, seed=1, positive=prompt, negative=prompt, **options)
    half = expected.sigmas[-(1 + len(expected.sigmas) // 2)]
    assert asked == pytest.approx([float(expected.sigmas[-1]), float(half)], rel=1e-4)


def test_a_distilled_model_knows_every_twentieth_level(tiny: Checkpoint) -> None:
    (made,) = model_sampling.ModelSamplingDiscrete().run(tiny.model, sampling="lcm", zsnr=False)
    sampling = made.get_model_object("model_sampling")
    whole = DiscreteSchedule().sigmas
    assert torch.equal(sampling.sigmas, whole[19::20])
    times = torch.tensor([19, 499, 999])
    assert torch.equal(sampling.timestep(whole[times]), times)
    torch.testing.assert_close(sampling.sigma(times), whole[times])
    assert float(sampling.sigma_max) == whole[-1]


def test_a_consistency_prediction_is_the_noise_free_latent_but_near_time_zero(
    tiny: Checkpoint,
) -> None:
    (made,) = model_sampling.ModelSamplingDiscrete().run(tiny.model, sampling="lcm", zsnr=False)
    sampling = made.get_model_object("model_sampling")
    x, noise = torch.randn(2, 2, 4, 8, 8)
    for sigma in (sampling.sigmas[-1], sampling.sigmas[0]):
        denoised = sampling.calculate_denoised(sigma.expand(2), noise, x)
        torch.testing.assert_close(denoised, x - noise * sigma, rtol=0.02, atol=0.02)
    sampling.skip_steps = 1  # times of the table itself: the first one is 0
    at_zero = sampling.calculate_denoised(sampling.sigmas[:1].expand(2), noise, x)
    torch.testing.assert_close(at_zero, x)


def test_playground_brings_its_latent_space(tiny: Checkpoint) -> None:
    (made,) = model_sampling.ModelSamplingContinuousEDM().run(
        tiny.model, sampling="edm_playground_v2.5", sigma_max=80.0, sigma_min=0.002
    )
    assert isinstance(made.get_model_object("latent_format"), SDXL_Playground_2_5)
    assert made.get_model_object("model_sampling").sigma_data == 0.5


def test_a_network_that_makes_the_picture_at_once_sees_its_input_as_it_is(
    tiny: Checkpoint,
) -> None:
    (made,) = model_sampling.ModelSamplingDiscrete().run(
        tiny.model, sampling="img_to_img", zsnr=False
    )
    sampling = made.get_model_object("model_sampling")
    x, output = torch.randn(2, 1, 4, 8, 8)
    sigma = torch.tensor([3.0])
    assert torch.equal(sampling.calculate_input(sigma, x), x)
    assert torch.equal(sampling.calculate_denoised(sigma, output, x), output)


def test_a_network_that_makes_one_picture_of_another_sees_it_as_it_is(tiny: Checkpoint) -> None:
    node = model_sampling.ModelSamplingAuraFlow()
    (made,) = node.run(tiny.model, 1.73, "img_to_img_velocity")
    sampling = made.get_model_object("model_sampling")
    x, output, nothing = torch.randn(3, 1, 4, 8, 8)
    sigma = torch.tensor([0.7])
    assert torch.equal(sampling.calculate_input(sigma, x), x)
    assert torch.equal(sampling.calculate_denoised(sigma, output, x), x - output)
    assert torch.equal(sampling.noise_scaling(sigma, nothing * 0, x), x)
    (flow,) = node.run(tiny.model, 1.73, "flow")
    torch.testing.assert_close(sampling.sigmas, flow.get_model_object("model_sampling").sigmas)
