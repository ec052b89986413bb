"""What Wan Animate 2 is given, against what diffusers' blocks give it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from models.vision import VisionOutput
from nodes.pixel_space import Vae
from nodes.video_conditioning.wan_animate_2 import WanAnimate2ToVideo
from tests.nodes.video_conditioning.film_vae import as_vae, picture, wan_vae

WIDTH, HEIGHT, LENGTH = 32, 16, 9
SIZE = (WIDTH, HEIGHT, LENGTH, 2)


@pytest.fixture(scope="module")
def network() -> Any:
    return wan_vae()


@pytest.fixture(scope="module")
def vae(network: Any) -> Vae:
    return as_vae(network)


@pytest.fixture
def prompt() -> Conditioning:
    return [[torch.zeros(1, 4, 8), {}]]


def _pixels(film: Tensor) -> Tensor:
    """[1, 3, T, H, W] in -1..1."""
    return (film * 2 - 1).movedim(-1, 0)[None]


@torch.no_grad()
def _expected(network: Any, reference: Tensor, made: Tensor | None) -> Tensor:
    """[4 + 16, 1 + t, h, w]: masks of what is given and latents, of a first or a second part."""
    from diffusers.modular_pipelines.wan_animate_2 import denoise, encoders

    components = SimpleNamespace(
        vae=network, _execution_device=torch.device("cpu"), vae_scale_factor_spatial=8
    )
    mask = encoders.get_i2v_mask(1, HEIGHT // 8, WIDTH // 8, 1, device="cpu")
    latent = encoders.encode_vae(network, _pixels(reference))[0]
    state = SimpleNamespace(
        reference_image_latents=torch.cat([mask, latent]),
        segment_frame_length=LENGTH,
        prev_segment_conditioning_frames=1,
        out_frames=None if made is None else _pixels(made),
    )
    step = denoise.WanAnimate2SegmentPrevFramesStep()
    step(components, state, 0 if made is None else 1)
    whole = state.reference_latents
    assert isinstance(whole, Tensor)
    return whole


def _given(options: dict[str, Any], network: Any) -> Tensor:
    """The same of our options."""
    mean, deviation = (
        torch.tensor(values).reshape(1, 16, 1, 1, 1)
        for values in (network.config.latents_mean, network.config.latents_std)
    )
    latent = (options["concat_latent_image"] - mean) / deviation
    return torch.cat([1 - options["concat_mask"], latent], dim=1)[0]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_part_shows_the_person_and_the_last_frame_before(
    is_first: bool, network: Any, vae: Vae, prompt: Conditioning
) -> None:
    reference = picture(1, WIDTH, HEIGHT)
    made = None if is_first else picture(LENGTH, WIDTH, HEIGHT, seed=1)
    positive, negative, latent, trim_latent, trim_image, offset = WanAnimate2ToVideo().run(
        prompt,
        prompt,
        vae,
        *SIZE,
        video_frame_offset=0 if is_first else LENGTH,
        reference_image=reference,
        continue_motion=made,
    )
    expected = _expected(network, reference, made)
    for conditioning in (positive, negative):
        options = conditioning[0][1]
        assert torch.allclose(_given(options, network), expected, atol=1e-5)
        assert "pose_video_latent" not in options
    assert latent["samples"].shape == (2, 16, 4, HEIGHT // 8, WIDTH // 8)
    shared = 0 if is_first else 1
    assert (trim_latent, trim_image) == (1, shared)
    assert offset == (LENGTH if is_first else 2 * LENGTH - shared)


def test_the_film_of_how_to_move_goes_on_where_the_last_part_ended(
    vae: Vae, prompt: Conditioning
) -> None:
    pose, said = picture(20, WIDTH, HEIGHT), VisionOutput(penultimate_hidden_states=torch.ones(1))
    pose_prompt: Conditioning = [[torch.ones(1, 3, 8), {}]]
    positive, *_ = WanAnimate2ToVideo().run(
        prompt,
        prompt,
        vae,
        *SIZE,
        video_frame_offset=LENGTH,
        pose_strength=0.5,
        pose_end_percent=0.75,
        reference_image_strength=2.0,
        pose_video=pose,
        positive_pose=pose_prompt,
        clip_vision_output_pose=said,
        continue_motion=picture(3, WIDTH, HEIGHT),
    )
    options = positive[0][1]
    start = LENGTH - 1
    assert torch.equal(options["pose_video_latent"], vae.encode(pose[start : start + LENGTH]))
    assert (options["pose_strength"], options["pose_range"]) == (0.5, (0.0, 0.75))
    assert options["pose_prompt"] is pose_prompt[0][0]
    assert options["pose_clip_vision_output"] is said
    assert options["reference_image_strength"] == 2.0
    with pytest.raises(InvalidInput, match="without entries"):
        WanAnimate2ToVideo().run(prompt, prompt, vae, *SIZE, pose_video=pose, positive_pose=[])
