"""Runs that start from noise that is there already, and from noise of another scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.load import Checkpoint
from models.protocol.custom import Noise, sample_with_guider
from models.protocol.guider import CFGGuider
from models.protocol.k_samplers import Sampler, sampler_object
from models.protocol.noise_objects import RandomNoise
from models.protocol.reparametrised import flow
from models.sampling.schedulers import sigmas_for_run
from nodes.custom_sampling.noises import VOIDWarpedNoiseSource
from nodes.custom_sampling.samplers import SamplerLCM, VOIDSampler
from nodes.model_sampling import ModelNoiseScale
from tests.models.protocol.test_sampling import latent, prompt


def sampled(
    tiny: Checkpoint,
    sampler: Sampler,
    noise: Noise,
    *,
    model: Any = None,
    start: dict[str, Any] | None = None,
    steps: slice = slice(None),
) -> Tensor:
    model = tiny.model if model is None else model
    guider = CFGGuider(model)
    guider.set_conds(prompt(1), prompt(2))
    guider.set_cfg(3.0)
    sigmas = sigmas_for_run(model.schedule, "normal", 4, sampler_name="euler")
    output, _ = sample_with_guider(
        guider, noise, sampler, sigmas[steps], start or latent(), lambda *_: None
    )
    found: Tensor = output["samples"]
    return found


def test_a_latent_as_noise_is_the_noise_that_it_was_drawn_as(tiny: Checkpoint) -> None:
    (given,) = VOIDWarpedNoiseSource().run({"samples": RandomNoise(5).generate_noise(latent())})
    euler = sampler_object("euler")
    assert torch.equal(sampled(tiny, euler, given), sampled(tiny, euler, RandomNoise(5)))


def test_noise_for_one_serves_a_batch_and_no_other_shape() -> None:
    (noise,) = VOIDWarpedNoiseSource().run({"samples": torch.ones(1, 4, 2, 3)})
    assert noise.generate_noise({"samples": torch.zeros(2, 4, 2, 3)}).shape == (2, 4, 2, 3)
    with pytest.raises(InvalidInput, match="shape"):
        noise.generate_noise({"samples": torch.zeros(1, 4, 3, 3)})


@pytest.mark.parametrize("steps", [slice(None), slice(1, None), slice(None, 3)])
def test_ddim_of_void_ends_where_ddim_does(tiny: Checkpoint, steps: slice) -> None:
    start = {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(8))}
    if steps.start is None:  # from nothing but noise
        start = {"samples": torch.zeros(1, 4, 8, 8)}
    (void,) = VOIDSampler().run()
    runs = [
        sampled(tiny, sampler, RandomNoise(5), start=start, steps=steps)
        for sampler in (void, sampler_object("ddim"))
    ]
    torch.testing.assert_close(*runs, rtol=1e-3, atol=2e-3)


def test_ddim_of_void_bears_levels_that_repeat(tiny: Checkpoint) -> None:
    (void,) = VOIDSampler().run()
    guider = CFGGuider(tiny.model)
    guider.set_conds(prompt(1), prompt(2))
    sigmas = torch.tensor([14.6, 3.0, 3.0, 0.0, 0.0])
    output, _ = sample_with_guider(guider, RandomNoise(5), void, sigmas, latent(), lambda *_: None)
    assert output["samples"].isfinite().all()


def test_ddim_of_void_is_not_for_flow_models(tiny: Checkpoint) -> None:
    (void,) = VOIDSampler().run()
    with pytest.raises(InvalidInput, match="flow models"):
        sampled(tiny, void, RandomNoise(5), model=flow(tiny.model, 1.0))


class _Scaled(RandomNoise):
    def generate_noise(self, input_latent: Any) -> Tensor:
        return super().generate_noise(input_latent) * 2.5


def test_scaled_noise_is_noise_times_a_number(tiny: Checkpoint) -> None:
    (model,) = ModelNoiseScale().run(tiny.model, 9.0)
    (model,) = ModelNoiseScale().run(model, 2.5)
    euler = sampler_object("euler")
    found = sampled(tiny, euler, RandomNoise(5), model=model)
    torch.testing.assert_close(found, sampled(tiny, euler, _Scaled(5)), rtol=1e-3, atol=2e-3)
    assert not torch.allclose(found, sampled(tiny, euler, RandomNoise(5)), atol=1e-2)


def test_noise_that_lcm_adds_on_the_way_is_scaled_too(tiny: Checkpoint) -> None:
    (model,) = ModelNoiseScale().run(tiny.model, 2.5)
    plain = sampler_object("lcm")
    found = sampled(tiny, plain, RandomNoise(5), model=model)
    (by_sampler,) = SamplerLCM().run(2.5, 2.5, 0.0)
    torch.testing.assert_close(found, sampled(tiny, by_sampler, _Scaled(5)), rtol=1e-3, atol=2e-3)
