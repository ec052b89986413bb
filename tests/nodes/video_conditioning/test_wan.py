"""What Wan's models are given, against what diffusers' pipelines give them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from models.protocol.latent_formats import Wan21, Wan22
from models.vision import VisionOutput
from nodes.pixel_space import PixelSpaceVae, Vae
from nodes.video_conditioning.wan import (
    Wan22ImageToVideoLatent,
    WanFirstLastFrameToVideo,
    WanFunInpaintToVideo,
    WanImageToVideo,
)
from nodes.video_conditioning.wan_control import (
    Wan22FunControlToVideo,
    WanFunControlToVideo,
    WanPhantomSubjectToVideo,
    WanVaceToVideo,
)
from tests.nodes.video_conditioning.film_vae import as_vae, picture, wan22_vae, wan_vae

WIDTH, HEIGHT, LENGTH = 32, 16, 9


@pytest.fixture(scope="module")
def network() -> Any:
    return wan_vae()


@pytest.fixture(scope="module")
def vae(network: Any) -> Vae:
    return as_vae(network)


@pytest.fixture
def prompt() -> Conditioning:
    return [[torch.zeros(1, 4, 8), {"kept": True}]]


def _scaled(latent: Tensor, network: Any) -> Tensor:
    """A raw latent in the space of Wan's models."""
    config = network.config
    mean, deviation = (
        torch.tensor(values).reshape(1, 16, 1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    return (latent - mean) / deviation


def _pipeline_condition(network: Any, first: Tensor, last: Tensor | None) -> Tensor:
    """The mask and the latent [1, 4 + 16, t, h, w] that diffusers gives a model beside noise."""
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline

    pipeline = WanImageToVideoPipeline(None, None, network, UniPCMultistepScheduler())
    pixels = [None if one is None else one.movedim(-1, 1) * 2 - 1 for one in (first, last)]
    with torch.no_grad():
        _, condition = pipeline.prepare_latents(
            pixels[0], 1, 16, HEIGHT, WIDTH, LENGTH, last_image=pixels[1], device="cpu"
        )
    assert isinstance(condition, Tensor)
    return condition


def _options(conditioning: Conditioning) -> dict[str, Any]:
    [[_, options]] = conditioning
    assert options["kept"]
    return dict(options)


def test_a_first_frame_is_given_as_diffusers_gives_it(
    network: Any, vae: Vae, prompt: Conditioning
) -> None:
    first = picture(1, WIDTH, HEIGHT)
    positive, negative, latent = WanImageToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 2, start_image=first
    )
    expected = _pipeline_condition(network, first, None)
    for conditioning in (positive, negative):
        options = _options(conditioning)
        assert torch.equal(1 - options["concat_mask"], expected[:, :4])
        shown = _scaled(options["concat_latent_image"], network)
        assert torch.allclose(shown, expected[:, 4:], atol=1e-5)
    assert latent["samples"].shape == (2, 16, 3, HEIGHT // 8, WIDTH // 8)
    assert not latent["samples"].any()


def test_first_and_last_frames_are_given_as_diffusers_gives_them(
    network: Any, vae: Vae, prompt: Conditioning
) -> None:
    first, last = picture(1, WIDTH, HEIGHT), picture(1, WIDTH, HEIGHT, seed=1)
    positive, _, _ = WanFunInpaintToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, start_image=first, end_image=last
    )
    expected = _pipeline_condition(network, first, last)
    options = _options(positive)
    assert torch.equal(1 - options["concat_mask"], expected[:, :4])
    shown = _scaled(options["concat_latent_image"], network)
    assert torch.allclose(shown, expected[:, 4:], atol=1e-5)


def test_frames_of_another_size_and_more_than_the_film_has_are_cut(
    vae: Vae, prompt: Conditioning
) -> None:
    positive, _, _ = WanImageToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, start_image=picture(12, 50, 40)
    )
    assert not _options(positive)["concat_mask"].any()


def test_a_mask_knows_single_frames_inside_of_a_latent_frame(
    vae: Vae, prompt: Conditioning
) -> None:
    positive, _, _ = WanImageToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, start_image=picture(3, WIDTH, HEIGHT)
    )
    mask = _options(positive)["concat_mask"][0, :, :, 0, 0]
    assert mask.T.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]]


def test_without_a_picture_a_film_is_of_its_text_alone(prompt: Conditioning) -> None:
    positive, _, latent = WanImageToVideo().run(prompt, prompt, None, WIDTH, HEIGHT, LENGTH, 1)
    assert positive == prompt
    assert latent["samples"].shape == (1, 16, 3, HEIGHT // 8, WIDTH // 8)


def test_what_an_encoder_says_of_two_pictures_goes_in_one_row(
    vae: Vae, prompt: Conditioning
) -> None:
    said = [VisionOutput(penultimate_hidden_states=torch.full((1, 3, 5), float(i))) for i in (1, 2)]
    positive, _, _ = WanFirstLastFrameToVideo().run(
        prompt,
        prompt,
        vae,
        WIDTH,
        HEIGHT,
        LENGTH,
        1,
        clip_vision_start_image=said[0],
        clip_vision_end_image=said[1],
    )
    states = _options(positive)["clip_vision_output"].penultimate_hidden_states
    assert states[0, :, 0].tolist() == [1, 1, 1, 2, 2, 2]


def test_a_vae_of_single_pictures_is_refused(prompt: Conditioning) -> None:
    with pytest.raises(InvalidInput, match="load the VAE of the video model"):
        WanImageToVideo().run(
            prompt,
            prompt,
            PixelSpaceVae(),
            WIDTH,
            HEIGHT,
            LENGTH,
            1,
            start_image=picture(1, WIDTH, HEIGHT),
        )


def test_given_frames_of_a_film_stay_free_of_noise() -> None:
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    vae = as_vae(
        AutoencoderKLWan(
            base_dim=4,
            z_dim=48,
            dim_mult=[1, 1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True, False],
            latents_mean=[0.0] * 48,
            latents_std=[1.0] * 48,
        ).eval()
    )
    first = picture(5, WIDTH, 32)
    (latent,) = Wan22ImageToVideoLatent().run(vae, WIDTH, 32, LENGTH, 2, start_image=first)
    assert latent["samples"].shape == (2, 48, 3, 2, 2)
    assert torch.equal(latent["samples"][1:, :, :2], vae.encode(first))
    assert latent["noise_mask"][0, 0, :, 0, 0].tolist() == [0, 0, 1]


def test_a_film_to_change_is_given_as_diffusers_gives_it(
    network: Any, vae: Vae, prompt: Conditioning
) -> None:
    from diffusers import UniPCMultistepScheduler, WanTransformer3DModel, WanVACEPipeline

    transformer = WanTransformer3DModel(
        num_attention_heads=1, attention_head_dim=12, num_layers=1, ffn_dim=8, text_dim=8
    )
    pipeline = WanVACEPipeline(
        None, None, network, UniPCMultistepScheduler(), transformer=transformer
    )
    film, reference = picture(LENGTH, WIDTH, HEIGHT), picture(1, 20, 30, seed=2)
    mask = picture(LENGTH, WIDTH, HEIGHT, seed=3)[..., 0].round()
    positive, negative, latent, references = WanVaceToVideo().run(
        prompt,
        prompt,
        vae,
        WIDTH,
        HEIGHT,
        LENGTH,
        1,
        0.75,
        control_video=film,
        control_masks=mask,
        reference_image=reference,
    )

    video = (film * 2 - 1).movedim(-1, 0)[None]
    masks = mask[None, None].expand(1, 3, -1, -1, -1)
    white = torch.ones(3, HEIGHT, WIDTH)
    small = torch.nn.functional.interpolate(
        reference.movedim(-1, 1) * 2 - 1, size=(HEIGHT, int(20 * HEIGHT / 30)), mode="bilinear"
    )
    left = (WIDTH - small.shape[-1]) // 2
    white[:, :, left : left + small.shape[-1]] = small[0]
    with torch.no_grad():
        frames = pipeline.prepare_video_latents(video, masks, [[white]], device="cpu")
        channels = pipeline.prepare_masks(masks, [[white]])

    for options in (_options(positive), _options(negative)):
        [shown], [said] = options["vace_frames"], options["vace_mask"]
        ours = torch.cat([_scaled(half, network) for half in shown.chunk(2, dim=1)], dim=1)
        assert torch.allclose(ours, frames, atol=1e-5)
        assert torch.equal(said, channels)
        assert options["vace_strength"] == [0.75]
    assert references == 1
    assert latent["samples"].shape == (1, 16, 4, HEIGHT // 8, WIDTH // 8)


def test_films_to_change_add_up_and_what_they_lack_is_made(vae: Vae, prompt: Conditioning) -> None:
    short = picture(5, WIDTH, HEIGHT)
    kept = torch.zeros(1, HEIGHT, WIDTH)
    arguments = (vae, WIDTH, HEIGHT, LENGTH, 1, 1.0)
    positive, negative, _, _ = WanVaceToVideo().run(
        prompt, prompt, *arguments, control_video=short, control_masks=kept
    )
    both, _, _, references = WanVaceToVideo().run(positive, negative, *arguments)
    first, second = _options(both)["vace_mask"]
    assert not first.any()
    assert second.all()
    assert references == 0


def test_pictures_of_subjects_go_after_the_film_and_can_be_left_out(
    network: Any, vae: Vae, prompt: Conditioning
) -> None:
    subjects = picture(2, WIDTH, HEIGHT)
    positive, without_text, without_both, latent = WanPhantomSubjectToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, images=subjects
    )
    shown = _options(positive)["time_dim_concat"]
    assert torch.equal(shown[:, :, 1:], vae.encode(subjects[1:]))
    assert torch.equal(_options(without_text)["time_dim_concat"], shown)
    nothing = _scaled(_options(without_both)["time_dim_concat"], network)
    assert nothing.shape == shown.shape
    assert not nothing.any()
    assert latent["samples"].shape[2] == 3


def test_a_film_to_follow_comes_before_the_first_frame(
    network: Any, vae: Vae, prompt: Conditioning
) -> None:
    film, first = picture(5, WIDTH, HEIGHT), picture(1, WIDTH, HEIGHT, seed=1)
    node = WanFunControlToVideo()
    positive, _, _ = node.run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, start_image=first, control_video=film
    )
    follow, begin = _options(positive)["concat_latent_image"].chunk(2, dim=1)
    assert torch.equal(follow[:, :, :2], vae.encode(film))
    assert torch.equal(begin[:, :, :1], vae.encode(first))
    for rest in (follow[:, :, 2:], begin[:, :, 1:]):
        assert rest.numel()
        assert not _scaled(rest, network).any()
    positive, _, _ = node.run(prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1)
    assert not _scaled(_options(positive)["concat_latent_image"][:, :16], network).any()


@pytest.mark.parametrize(("channels", "scale"), [(16, 8), (48, 16)])
def test_wan_22_follows_a_film_and_refers_to_a_picture(
    network: Any, prompt: Conditioning, channels: int, scale: int
) -> None:
    vae = as_vae(network if channels == 16 else wan22_vae())
    film, picture_of = picture(9, WIDTH, HEIGHT), picture(1, WIDTH, HEIGHT, seed=1)
    node = Wan22FunControlToVideo()
    positive, negative, latent = node.run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 2, ref_image=picture_of, control_video=film
    )
    for conditioning in (positive, negative):
        options = _options(conditioning)
        assert torch.equal(options["concat_latent_image"], vae.encode(film))
        [reference] = options["reference_latents"]
        assert torch.equal(reference, vae.encode(picture_of))
    assert latent["samples"].shape == (2, channels, 3, HEIGHT // scale, WIDTH // scale)
    short, _, _ = node.run(prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, control_video=film[:1])
    shown = _options(short)["concat_latent_image"]
    assert torch.equal(shown[:, :, :1], vae.encode(film[:1]))
    space = Wan21() if channels == 16 else Wan22()
    assert shown[:, :, 1:].numel()
    assert space.process_in(shown[:, :, 1:]).abs().max() < 1e-6
    nothing, _, _ = node.run(prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1)
    assert "reference_latents" not in _options(nothing)
    assert space.process_in(_options(nothing)["concat_latent_image"]).abs().max() < 1e-6
