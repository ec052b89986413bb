"""Pictures of what models predict, and colours given back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.model_options import PiDConditioning
from nodes.predictions import MarigoldV2PostProcess
from nodes.video_pictures import SeedVR2PostProcessing


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_what_is_near_is_bright_in_each_picture() -> None:
    depth = torch.tensor([[0.2, 0.4, 0.6], [0.0, 0.5, 1.0]])[:, None, :, None].expand(2, 1, 3, 3)
    (picture,) = MarigoldV2PostProcess().run(depth, "depth")
    assert torch.allclose(picture, torch.tensor([1, 0.5, 0])[:, None].expand(2, 1, 3, 3), atol=1e-6)


def test_a_flat_depth_gives_numbers() -> None:
    (picture,) = MarigoldV2PostProcess().run(torch.full((1, 2, 2, 3), 0.3), "depth")
    assert picture.isfinite().all()


def test_normals_have_a_length_of_one() -> None:
    (picture,) = MarigoldV2PostProcess().run(_random(1, 4, 4, 3), "normals")
    assert torch.allclose((picture * 2 - 1).norm(dim=-1), torch.ones(1, 4, 4))


def test_surfaces_are_made_brighter_for_screens() -> None:
    linear = torch.tensor([0.0, 0.001, 0.2140411, 1.0])[None, None, :, None].expand(1, 1, 4, 3)
    (picture,) = MarigoldV2PostProcess().run(linear, "albedo")
    assert picture[0, 0, :, 0].tolist() == pytest.approx([0, 0.01292, 0.5, 1], abs=1e-4)


@pytest.mark.parametrize("method", ["lab", "adain", "wavelet"])
def test_restored_pictures_get_the_colours_of_the_originals(method: str) -> None:
    original = _random(2, 64, 64, 3) * 0.5
    restored = original * 0.4 + 0.3
    (made,) = SeedVR2PostProcessing().run(restored, original, method)
    assert (made.mean() - original.mean()).abs() < 0.01
    assert (made - original).abs().mean() < (restored - original).abs().mean()


def test_details_are_those_of_the_restored_pictures() -> None:
    stripes = torch.zeros(1, 64, 64, 3)
    stripes[:, :, ::2] = 0.2
    (made,) = SeedVR2PostProcessing().run(stripes + 0.3, torch.full((1, 64, 64, 3), 0.6), "wavelet")
    inner = made[0, 32, 8:-8, 0]
    assert (inner[::2] - inner[1::2]).tolist() == pytest.approx([0.2] * 24, abs=5e-3)
    assert inner.mean().item() == pytest.approx(0.6, abs=5e-3)


def test_restored_pictures_are_cut_to_what_both_have() -> None:
    (made,) = SeedVR2PostProcessing().run(
        _random(5, 32, 48, 3), _random(3, 31, 50, 4, seed=1), "none"
    )
    assert made.shape == (3, 30, 48, 4)
    assert torch.equal(made[..., :3], _random(5, 32, 48, 3)[:3, :30, :, :])
    assert torch.equal(made[..., 3], _random(3, 31, 50, 4, seed=1)[:, :30, :48, 3])


def test_a_decoder_is_given_the_latent_it_makes_a_picture_of() -> None:
    latent = {"samples": torch.ones(1, 16, 4, 4)}
    ([[_, options]],) = PiDConditioning().run([[torch.zeros(1, 2, 3), {}]], latent, "sd3", 0.25)
    assert torch.equal(options["pid_latent"], latent["samples"])
    assert (options["pid_latent_format"], options["pid_degrade_sigma"]) == ("sd3", 0.25)
