"""The autoencoder's latents are normalised without changing what it decodes."""

from __future__ import annotations

import numpy as np
import torch

from models.starter.captions import sample_scene
from models.starter.shapes import draw
from models.starter.train import picture_rng
from models.starter.vae import (
    SCALE_FACTOR,
    build_vae,
    encode_means,
    normalise,
    to_pictures,
    to_tensor,
    vae_loss,
)


def _pictures(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rngs = [picture_rng(index) for index in range(count)]
    return np.stack([draw(sample_scene(rng), rng) for rng in rngs])


def test_bytes_survive_the_way_to_tensors_and_back() -> None:
    pictures = _pictures(2)
    assert (to_pictures(to_tensor(pictures)) == pictures).all()


@torch.no_grad()
def test_normalised_latents_have_unit_scale_and_decode_as_before() -> None:
    torch.manual_seed(0)
    vae = build_vae().eval()
    pictures = _pictures(4)
    images = to_tensor(pictures)
    before = vae.decode(vae.encode(images).latent_dist.mean).sample
    moved = normalise(vae, encode_means(vae, pictures))
    latents = vae.encode(images).latent_dist.mean
    assert torch.allclose(vae.decode(latents).sample, before, atol=1e-4)
    scaled = latents * SCALE_FACTOR
    assert scaled.mean(dim=(0, 2, 3)).abs().max() < 0.1
    assert (scaled.std(dim=(0, 2, 3)) - 1).abs().max() < 0.1
    assert torch.allclose(moved, latents, atol=1.0)  # encoded in bfloat16


def test_a_few_steps_lower_the_error() -> None:
    torch.manual_seed(0)
    vae = build_vae()
    images = to_tensor(_pictures(4))[:, :, 32:96, 32:96].contiguous()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3)
    errors = []
    for _ in range(12):
        loss, absolute = vae_loss(vae, images)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        errors.append(absolute.item())
    assert errors[-1] < 0.9 * errors[0]
