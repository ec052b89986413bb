"""What HunyuanVideo, Kandinsky 5, Cosmos and LTX-Video are given of pictures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from nodes.pixel_space import PixelSpaceVae, Vae
from nodes.tensors.latents import Latent
from nodes.video_conditioning.cosmos import (
    CosmosImageToVideoLatent,
    CosmosPredict2ImageToVideoLatent,
)
from nodes.video_conditioning.hunyuan import (
    HunyuanImageToVideo,
    HunyuanVideo15ImageToVideo,
    Kandinsky5ImageToVideo,
)
from nodes.video_conditioning.hunyuan_refining import (
    HunyuanRefinerLatent,
    HunyuanVideo15SuperResolution,
)
from nodes.video_conditioning.ltx import (
    LTXVAddGuide,
    LTXVCropGuides,
    LTXVImgToVideo,
    LTXVImgToVideoInplace,
)
from tests.nodes.video_conditioning.film_vae import (
    as_vae,
    hunyuan15_vae,
    hunyuan_vae,
    ltx_vae,
    picture,
    wan_vae,
)

WIDTH, HEIGHT, LENGTH = 32, 16, 9


@pytest.fixture(scope="module")
def hunyuan() -> Vae:
    return as_vae(hunyuan_vae())


@pytest.fixture(scope="module")
def ltx_network() -> Any:
    return ltx_vae()


@pytest.fixture(scope="module")
def ltx(ltx_network: Any) -> Vae:
    return as_vae(ltx_network)


@pytest.fixture
def prompt() -> Conditioning:
    return [[torch.zeros(1, 4, 8), {"kept": True}]]


def _options(conditioning: Conditioning) -> dict[str, Any]:
    [[_, options]] = conditioning
    assert options["kept"]
    return dict(options)


def _left(latent: Latent) -> list[float]:
    """What is left to make of each latent frame."""
    mask: Tensor = latent["noise_mask"][0, 0]
    assert torch.equal(mask, mask[:, :1, :1].expand_as(mask))
    return [round(value, 6) for value in mask[:, 0, 0].tolist()]


def test_hunyuan_sees_the_first_frame_in_further_channels(
    hunyuan: Vae, prompt: Conditioning
) -> None:
    first = picture(1, WIDTH, HEIGHT)
    positive, latent = HunyuanImageToVideo().run(
        prompt, hunyuan, WIDTH, HEIGHT, LENGTH, 1, "v1 (concat)", first
    )
    shown = _options(positive)["concat_latent_image"]
    assert torch.equal(shown[:, :, :1], hunyuan.encode(first))
    assert not shown[:, :, 1:].any()
    assert _options(positive)["concat_mask"][0, 0, :, 0, 0].tolist() == [0, 1, 1]
    assert not latent["samples"].any()
    assert "noise_mask" not in latent


def test_hunyuan_takes_the_first_frame_in_place_of_noise(
    hunyuan: Vae, prompt: Conditioning
) -> None:
    first = picture(1, WIDTH, HEIGHT)
    positive, latent = HunyuanImageToVideo().run(
        prompt, hunyuan, WIDTH, HEIGHT, LENGTH, 1, "v2 (replace)", first
    )
    assert _options(positive)["guiding_frame_index"] == 0
    assert torch.equal(latent["samples"][:, :, :1], hunyuan.encode(first))
    assert _left(latent) == [0, 1, 1]


def test_hunyuan_refers_to_a_picture(hunyuan: Vae, prompt: Conditioning) -> None:
    first = picture(1, WIDTH, HEIGHT)
    positive, latent = HunyuanImageToVideo().run(
        prompt, hunyuan, WIDTH, HEIGHT, LENGTH, 1, "custom", first
    )
    assert torch.equal(_options(positive)["ref_latent"], hunyuan.encode(first))
    assert not latent["samples"].any()


def test_hunyuan_without_a_picture_follows_the_text(prompt: Conditioning) -> None:
    positive, latent = HunyuanImageToVideo().run(
        prompt, None, WIDTH, HEIGHT, LENGTH, 2, "v1 (concat)"
    )
    assert positive == prompt
    assert latent["samples"].shape == (2, 16, 3, 2, 4)


def test_hunyuan_15_follows_the_text_and_needs_its_own_vae_for_pictures(
    hunyuan: Vae, prompt: Conditioning
) -> None:
    size = (32, 16, LENGTH, 1)
    positive, negative, latent = HunyuanVideo15ImageToVideo().run(prompt, prompt, None, *size)
    assert positive == negative == prompt
    assert latent["samples"].shape == (1, 32, 3, 1, 2)
    with pytest.raises(InvalidInput, match="load the VAE of the video model"):
        HunyuanVideo15ImageToVideo().run(
            prompt, prompt, hunyuan, *size, start_image=picture(1, WIDTH, HEIGHT)
        )


def test_hunyuan_s_refiner_is_given_what_another_model_has_made(prompt: Conditioning) -> None:
    made: Latent = {"samples": torch.rand(2, 64, 4, 6)}
    positive, negative, latent = HunyuanRefinerLatent().run(prompt, prompt, made, 0.25)
    for conditioning in (positive, negative):
        options = _options(conditioning)
        assert torch.equal(options["concat_latent_image"], made["samples"])
        assert options["noise_augmentation"] == 0.25
    assert latent["samples"].shape == made["samples"].shape
    assert not latent["samples"].any()


def test_hunyuan_15_refines_a_film_that_begins_with_a_picture(prompt: Conditioning) -> None:
    vae = as_vae(hunyuan15_vae())
    film: Latent = {"samples": torch.rand(2, 32, 3, HEIGHT // 16, WIDTH // 16)}
    first = picture(1, WIDTH, HEIGHT)
    node = HunyuanVideo15SuperResolution()
    positive, _, latent = node.run(prompt, prompt, film, 0.7, vae, first)
    options = _options(positive)
    given, smaller = options["concat_latent_image"].chunk(2, dim=1)
    assert torch.equal(given[:, :, :1], vae.encode(first).expand(2, -1, -1, -1, -1))
    assert not given[:, :, 1:].any()
    assert torch.equal(smaller, film["samples"])
    assert options["concat_mask"][0, 0, :, 0, 0].tolist() == [0, 1, 1]
    assert not latent["samples"].any()
    positive, _, _ = node.run(prompt, prompt, film, 0.7)
    options = _options(positive)
    assert not options["concat_latent_image"][:, :32].any()
    assert options["concat_mask"].all()
    with pytest.raises(InvalidInput, match="refines films"):
        node.run(prompt, prompt, {"samples": torch.rand(1, 32, 4, 4)}, 0.7)


def test_kandinsky_keeps_the_first_frame_and_is_told_so(hunyuan: Vae, prompt: Conditioning) -> None:
    first = picture(1, WIDTH, HEIGHT)
    positive, _, latent, given = Kandinsky5ImageToVideo().run(
        prompt, prompt, hunyuan, WIDTH, HEIGHT, LENGTH, 1, first
    )
    assert torch.equal(given["samples"], hunyuan.encode(first))
    assert torch.equal(latent["samples"][:, :, :1], given["samples"])
    assert _left(latent) == [0, 1, 1]
    options = _options(positive)
    assert not options["concat_latent_image"].any()
    assert options["concat_mask"][0, 0, :, 0, 0].tolist() == [0, 1, 1]


def test_cosmos_begins_and_ends_with_given_frames(hunyuan: Vae) -> None:
    first, last = picture(5, WIDTH, HEIGHT), picture(1, WIDTH, HEIGHT, seed=1)
    (latent,) = CosmosPredict2ImageToVideoLatent().run(
        hunyuan, WIDTH, HEIGHT, 17, 2, start_image=first, end_image=last
    )
    assert latent["samples"].shape == (2, 16, 5, 2, 4)
    assert torch.allclose(latent["samples"][:1, :, :2], hunyuan.encode(first))
    assert torch.allclose(latent["samples"][1:, :, -1:], hunyuan.encode(last))
    assert _left(latent) == [0, 0, 1, 1, 0]


def test_cosmos_1_has_eight_frames_an_element() -> None:
    (latent,) = CosmosImageToVideoLatent().run(None, WIDTH, HEIGHT, 17, 1)
    assert latent["samples"].shape == (1, 16, 3, 2, 4)


def test_ltx_begins_with_a_picture_as_it_does_with_diffusers(
    ltx_network: Any, ltx: Vae, prompt: Conditioning
) -> None:
    first = picture(1, 64, 64)
    _, _, latent = LTXVImgToVideo().run(prompt, prompt, first, ltx, 64, 64, 17, 1, 0.75)
    latents, mask, _, _ = _pipeline(ltx_network, [(first, 0.75, 0)])
    assert latent["samples"].shape == (1, 128, 3, 2, 2)
    assert _left(latent) == [0.25, 1, 1]
    by_frame = mask.reshape(3, 4)[:, 0]
    assert torch.allclose(1 - by_frame, latent["noise_mask"][0, 0, :, 0, 0])
    assert latents.shape[1] == 3 * 4


def test_ltx_changes_the_beginning_of_a_film_that_is_there(ltx: Vae) -> None:
    film: Latent = {"samples": torch.ones(1, 128, 3, 2, 2), "other": 1}
    (latent,) = LTXVImgToVideoInplace().run(ltx, picture(1, 30, 30), film, 1.0)
    assert _left(latent) == [0, 1, 1]
    assert torch.equal(latent["samples"][:, :, 1:], film["samples"][:, :, 1:])
    assert latent["other"] == 1
    assert film["samples"].eq(1).all()
    assert LTXVImgToVideoInplace().run(ltx, picture(1, 30, 30), film, 1.0, True) == (film,)


def _pipeline(network: Any, conditions: list[tuple[Tensor, float, int]]) -> Any:
    """What diffusers makes of frames given at places of a film of 64 x 64, 17 frames."""
    from diffusers import FlowMatchEulerDiscreteScheduler, LTXConditionPipeline

    pipeline = LTXConditionPipeline(FlowMatchEulerDiscreteScheduler(), network, None, None, None)
    films = [(image * 2 - 1).movedim(-1, 0)[None] for image, _, _ in conditions]
    with torch.no_grad():
        return pipeline.prepare_latents(
            films,
            [strength for _, strength, _ in conditions],
            [frame for _, _, frame in conditions],
            height=64,
            width=64,
            num_frames=17,
            device=torch.device("cpu"),
            dtype=torch.float32,
            generator=torch.Generator().manual_seed(0),
        )


@pytest.mark.parametrize(("frames", "place"), [(1, 9), (9, 8)])
def test_ltx_attaches_frames_that_guide_as_diffusers_does(
    ltx_network: Any, ltx: Vae, prompt: Conditioning, frames: int, place: int
) -> None:
    guide = picture(frames, 64, 64)
    film: Latent = {"samples": torch.zeros(1, 128, 3, 2, 2)}
    positive, negative, latent = LTXVAddGuide().run(prompt, prompt, ltx, film, guide, place, 0.5)
    _, mask, _, extra = _pipeline(ltx_network, [(guide, 0.5, place)])
    attached = extra // 4  # four tokens a latent frame
    assert _options(positive)["keyframes"] == [{"frame": place, "latent_frames": attached}]
    assert _options(negative)["keyframes"] == _options(positive)["keyframes"]
    by_frame = (1 - mask).reshape(-1, 4)[:, 0].tolist()
    assert _left(latent) == by_frame[attached:] + by_frame[:attached]
    assert torch.equal(latent["samples"][:, :, 3:], ltx.encode(guide)[:, :, :attached])


def test_ltx_has_a_guide_at_the_beginning_in_the_film_itself(
    ltx: Vae, prompt: Conditioning
) -> None:
    film: Latent = {"samples": torch.zeros(1, 128, 3, 2, 2)}
    positive, _, latent = LTXVAddGuide().run(prompt, prompt, ltx, film, picture(1, 64, 64), 0, 1.0)
    assert positive == prompt
    assert _left(latent) == [0, 1, 1]


def test_ltx_cuts_all_guides_off_again(ltx: Vae, prompt: Conditioning) -> None:
    film: Latent = {"samples": torch.zeros(1, 128, 3, 2, 2)}
    node = LTXVAddGuide()
    positive, negative, latent = node.run(prompt, prompt, ltx, film, picture(1, 64, 64), -1, 1.0)
    assert _options(positive)["keyframes"] == [{"frame": 16, "latent_frames": 1}]
    positive, negative, latent = node.run(
        positive, negative, ltx, latent, picture(1, 64, 64), 4, 0.5
    )
    assert _left(latent) == [1, 1, 1, 0, 0.5]
    positive, negative, cut = LTXVCropGuides().run(positive, negative, latent)
    assert cut["samples"].shape == film["samples"].shape
    assert _left(cut) == [1, 1, 1]
    assert "keyframes" not in _options(positive)
    assert LTXVCropGuides().run(prompt, prompt, film)[2] is film


def test_ltx_guides_no_frame_after_the_film(ltx: Vae, prompt: Conditioning) -> None:
    film: Latent = {"samples": torch.zeros(1, 128, 3, 2, 2)}
    with pytest.raises(InvalidInput, match="the film has 17 frames"):
        LTXVAddGuide().run(prompt, prompt, ltx, film, picture(1, 64, 64), 17, 1.0)


@pytest.mark.parametrize(("frames", "place"), [(1, 0), (1, 8), (9, 8)])
@pytest.mark.parametrize("vae", [PixelSpaceVae(), as_vae(wan_vae())], ids=["pictures", "Wan"])
def test_ltx_takes_no_guides_through_the_vae_of_another_model(
    prompt: Conditioning, vae: Vae, frames: int, place: int
) -> None:
    film: Latent = {"samples": torch.zeros(1, 128, 3, 2, 2)}
    with pytest.raises(InvalidInput, match="load the VAE of the video model"):
        LTXVAddGuide().run(prompt, prompt, vae, film, picture(frames, 64, 64), place, 1.0)


def test_ltx_puts_nothing_into_the_latent_of_a_picture(ltx: Vae, prompt: Conditioning) -> None:
    still: Latent = {"samples": torch.zeros(1, 4, 8, 8)}
    with pytest.raises(InvalidInput, match="latent of a film"):
        LTXVAddGuide().run(prompt, prompt, ltx, still, picture(1, 64, 64), 0, 1.0)
    with pytest.raises(InvalidInput, match="latent of a film"):
        LTXVImgToVideoInplace().run(ltx, picture(1, 64, 64), still, 1.0)


def test_ltx_refuses_guides_that_are_to_be_smaller_than_the_film(
    ltx: Vae, prompt: Conditioning
) -> None:
    film: Latent = {"samples": torch.zeros(1, 128, 3, 2, 2)}
    given = (prompt, prompt, ltx, film, picture(1, 64, 64), 0, 1.0)
    LTXVAddGuide().run(*given, {"reference_downscale_factor": 1.0})
    with pytest.raises(InvalidInput, match="smaller than the film"):
        LTXVAddGuide().run(*given, {"reference_downscale_factor": 2.0})


def test_a_vae_of_another_model_is_refused(prompt: Conditioning) -> None:
    with pytest.raises(InvalidInput, match="load the VAE of the video model"):
        LTXVImgToVideo().run(
            prompt, prompt, picture(1, 64, 64), as_vae(wan_vae()), 64, 64, 17, 1, 1.0
        )


def test_a_mask_that_is_none_of_a_film_is_refused(ltx: Vae) -> None:
    film: Latent = {"samples": torch.zeros(1, 128, 3, 2, 2), "noise_mask": torch.ones(1, 64, 64)}
    with pytest.raises(InvalidInput, match="a mask for each latent frame"):
        LTXVImgToVideoInplace().run(ltx, picture(1, 64, 64), film, 1.0)
