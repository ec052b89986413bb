"""What Wan Animate is given, against what diffusers' pipeline gives it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from nodes.pixel_space import Vae
from nodes.video_conditioning.wan_animate import WanAnimateToVideo
from tests.nodes.video_conditioning.film_vae import as_vae, picture, wan_vae

WIDTH, HEIGHT, LENGTH = 32, 16, 9
SIZE = (WIDTH, HEIGHT, LENGTH, 1, 5)


@pytest.fixture(scope="module")
def network() -> Any:
    return wan_vae()


@pytest.fixture(scope="module")
def vae(network: Any) -> Vae:
    return as_vae(network)


@pytest.fixture
def prompt() -> Conditioning:
    return [[torch.zeros(1, 4, 8), {}]]


def _options(conditioning: Conditioning) -> dict[str, Any]:
    [[_, options]] = conditioning
    return dict(options)


def _pixels(film: Tensor) -> Tensor:
    """[1, 3, T, H, W] in -1..1."""
    return (film * 2 - 1).movedim(-1, 0)[None]


def _expected(network: Any, reference: Tensor, **segment: Any) -> Tensor:
    """[1, 4 + 16, 1 + t, h, w]: the masks of what is given and the latents, as diffusers has it."""
    from diffusers import UniPCMultistepScheduler, WanAnimatePipeline

    pipeline = WanAnimatePipeline(None, None, network, UniPCMultistepScheduler(), None, None, None)
    pipeline.vae_scale_factor_spatial = 8
    with torch.no_grad():
        first = pipeline.prepare_reference_image_latents(
            _pixels(reference)[:, :, 0], device="cpu", dtype=torch.float32
        )
        film = pipeline.prepare_prev_segment_cond_latents(
            segment_frame_length=LENGTH,
            height=HEIGHT,
            width=WIDTH,
            device="cpu",
            dtype=torch.float32,
            **segment,
        )
    return torch.cat([first, film], dim=2)


def _given(options: dict[str, Any], network: Any) -> Tensor:
    """The same of our options."""
    mean, deviation = (
        torch.tensor(values).reshape(1, 16, 1, 1, 1)
        for values in (network.config.latents_mean, network.config.latents_std)
    )
    latent = (options["concat_latent_image"] - mean) / deviation
    return torch.cat([1 - options["concat_mask"], latent], dim=1)


def test_a_first_part_shows_the_person_and_nothing_of_the_film(
    network: Any, vae: Vae, prompt: Conditioning
) -> None:
    reference = picture(1, WIDTH, HEIGHT)
    positive, _, latent, trim_latent, trim_image, offset = WanAnimateToVideo().run(
        prompt, prompt, vae, *SIZE, 0, reference_image=reference
    )
    expected = _expected(network, reference)
    assert torch.allclose(_given(_options(positive), network), expected, atol=1e-5)
    assert latent["samples"].shape == (1, 16, 4, HEIGHT // 8, WIDTH // 8)
    assert (trim_latent, trim_image, offset) == (1, 0, LENGTH)


def test_a_next_part_begins_with_the_last_frames(
    network: Any, vae: Vae, prompt: Conditioning
) -> None:
    reference, made = picture(1, WIDTH, HEIGHT), picture(LENGTH, WIDTH, HEIGHT, seed=1)
    positive, _, _, _, trim_image, offset = WanAnimateToVideo().run(
        prompt, prompt, vae, *SIZE, LENGTH, reference_image=reference, continue_motion=made
    )
    expected = _expected(
        network,
        reference,
        prev_segment_cond_video=_pixels(made[-5:]),
        prev_segment_cond_frames=5,
        start_frame=4,
    )
    assert torch.allclose(_given(_options(positive), network), expected, atol=1e-5)
    assert (trim_image, offset) == (5, LENGTH - 5 + LENGTH)


def test_a_person_takes_the_place_of_another(network: Any, vae: Vae, prompt: Conditioning) -> None:
    reference, background = picture(1, WIDTH, HEIGHT), picture(LENGTH, WIDTH, HEIGHT, seed=2)
    mask = torch.zeros(LENGTH, HEIGHT, WIDTH)
    mask[2:, :8, 8:24] = 1
    positive, *_ = WanAnimateToVideo().run(
        prompt,
        prompt,
        vae,
        *SIZE,
        0,
        reference_image=reference,
        background_video=background,
        character_mask=mask,
    )
    expected = _expected(
        network,
        reference,
        background_video=_pixels(background),
        mask_video=mask[None, None],
        task="replace",
    )
    assert torch.allclose(_given(_options(positive), network), expected, atol=1e-5)


def test_films_of_poses_and_faces_go_on_where_the_last_part_ended(
    vae: Vae, prompt: Conditioning
) -> None:
    pose, face = picture(20, WIDTH, HEIGHT), picture(20, 64, 64)
    positive, negative, *_ = WanAnimateToVideo().run(
        prompt,
        prompt,
        vae,
        *SIZE,
        LENGTH,
        pose_video=pose,
        face_video=face,
        continue_motion=picture(3, WIDTH, HEIGHT),
    )
    start = LENGTH - 3
    shown, hidden = _options(positive), _options(negative)
    assert torch.equal(shown["pose_video_latent"], vae.encode(pose[start : start + LENGTH]))
    assert shown["face_video_pixels"].shape == (1, 3, LENGTH, 512, 512)
    assert hidden["face_video_pixels"].eq(-1).all()


def test_a_film_that_is_too_short_goes_back_and_forth(vae: Vae, prompt: Conditioning) -> None:
    pose = picture(4, WIDTH, HEIGHT)
    positive, *_ = WanAnimateToVideo().run(prompt, prompt, vae, *SIZE, 0, pose_video=pose)
    turns = pose[[0, 1, 2, 3, 2, 1, 0, 1, 2]]
    assert torch.equal(_options(positive)["pose_video_latent"], vae.encode(turns))


def test_a_single_frame_stands_still(vae: Vae, prompt: Conditioning) -> None:
    pose = picture(1, WIDTH, HEIGHT)
    positive, *_ = WanAnimateToVideo().run(prompt, prompt, vae, *SIZE, 7, pose_video=pose)
    still = pose.expand(LENGTH, -1, -1, -1)
    assert torch.equal(_options(positive)["pose_video_latent"], vae.encode(still))
