"""Latent spaces by name."""

from __future__ import annotations

from inspect import signature

import pytest
import torch

from models.protocol.latent_formats import Standardised, Wan21, Wan22


def test_wan_21_has_the_statistics_that_diffusers_has() -> None:
    from diffusers import AutoencoderKLWan

    published = signature(AutoencoderKLWan.__init__).parameters
    space = Wan21()
    assert space.latents_mean.flatten().tolist() == pytest.approx(published["latents_mean"].default)
    assert space.latents_std.flatten().tolist() == pytest.approx(published["latents_std"].default)


@pytest.mark.parametrize("space", [Wan21(), Wan22()])
def test_latents_of_wan_get_a_mean_of_0_and_a_deviation_of_1(space: Standardised) -> None:
    shape = (1, space.latent_channels, 1, 1, 1)
    assert space.latents_mean.shape == space.latents_std.shape == shape
    noise = torch.randn(1, space.latent_channels, 3, 4, 4)
    raw = noise * space.latents_std + space.latents_mean
    assert torch.allclose(space.process_in(raw), noise, atol=1e-5)
    assert torch.allclose(space.process_out(noise), raw)
