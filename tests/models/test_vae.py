from __future__ import annotations

import pytest
import torch

from models.errors import InvalidInput
from models.vae import VaeHandle


def test_pictures_are_channels_last_in_0_to_1(vae: VaeHandle) -> None:
    picture = vae.decode(torch.randn(2, 4, 3, 5) * 10)
    assert picture.shape == (2, 24, 40, 3)
    assert picture.dtype == torch.float32
    assert picture.min() >= 0 and picture.max() <= 1


def test_each_picture_of_a_batch_is_decoded_alike(vae: VaeHandle) -> None:
    latents = torch.randn(2, 4, 3, 3)
    assert torch.equal(vae.decode(latents)[1:], vae.decode(latents[1:]))


def test_sides_are_cut_around_the_centre(vae: VaeHandle) -> None:
    pixels = torch.rand(1, 21, 18, 3)
    assert torch.equal(vae.crop(pixels), pixels[:, 2:18, 1:17])
    assert torch.equal(vae.encode(pixels), vae.encode(pixels[:, 2:18, 1:17]))


def test_alpha_is_ignored(vae: VaeHandle) -> None:
    pixels = torch.rand(1, 16, 16, 4)
    latent = vae.encode(pixels)
    assert latent.shape == (1, 4, 2, 2)
    assert torch.equal(latent, vae.encode(pixels[..., :3]))


@pytest.mark.parametrize("shape", [(1, 7, 16, 3), (1, 16, 16, 1), (16, 16, 3)])
def test_unfit_pictures_are_refused(vae: VaeHandle, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput):
        vae.encode(torch.rand(shape))


@pytest.mark.parametrize("shape", [(1, 16, 2, 2), (4, 2, 2)])
def test_unfit_latents_are_refused(vae: VaeHandle, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="4 channels"):
        vae.decode(torch.rand(shape))
