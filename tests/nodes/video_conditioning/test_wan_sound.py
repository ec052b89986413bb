"""What Wan-S2V is given of sounds and pictures, as its authors' code lays it out."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from nodes.pixel_space import Vae
from nodes.tensors.heard import heard_in_frames
from nodes.video_conditioning.wan_sound import (
    WanSoundImageToVideo,
    WanSoundImageToVideoExtend,
)
from tests.nodes.video_conditioning.film_vae import as_vae, picture, wan_vae

WIDTH, HEIGHT, LENGTH = 32, 16, 9
FRAMES = 12  # of a film of three latent frames, all of which stand for four


@pytest.fixture(scope="module")
def network() -> Any:
    return wan_vae()


class _Decoding:
    """An autoencoder that decodes as well."""

    def __init__(self, network: Any) -> None:
        self.inner: Any = as_vae(network)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @torch.no_grad()
    def decode(self, samples: Tensor) -> Tensor:
        film: Tensor = self.inner.network.decode(samples).sample
        return (film[0].movedim(0, -1) / 2 + 0.5).clamp(0, 1)


@pytest.fixture(scope="module")
def vae(network: Any) -> Vae:
    return cast(Vae, _Decoding(network))


@pytest.fixture
def prompt() -> Conditioning:
    return [[torch.zeros(1, 4, 8), {}]]


def heard(seconds: float, layers: int = 3) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(5)
    count = int(50 * seconds)
    return {"hidden_states": tuple(torch.rand(1, count, 4, generator=generator)
                                   for _ in range(layers))}  # fmt: skip


def by_hand(states: tuple[Tensor, ...], frame: int) -> Tensor:
    """[layers, D] of a frame: between the two nearest states, in thirtieths of a second."""
    count = states[0].shape[1]
    steps = int(count / 50 * 30)
    step = round(frame * 30 / 16)
    if step >= steps:
        return torch.zeros(len(states), states[0].shape[2])
    place = step * (count - 1) / (steps - 1)
    left = min(int(place), count - 2)
    share = place - left
    return torch.stack([s[0, left] * (1 - share) + s[0, left + 1] * share for s in states])


def test_each_frame_hears_what_is_said_then_and_nothing_after_the_end() -> None:
    states = heard(1.0)["hidden_states"]
    found = heard_in_frames(states, 4, 20, 16)
    assert found.shape == (1, 3, 4, 20)
    for place in range(20):
        assert torch.allclose(found[0, ..., place], by_hand(states, 4 + place), atol=1e-5)
    assert not found[..., -1].any() and found[..., 0].any()


def test_a_first_part_hears_a_sound_and_sees_who_speaks(vae: Vae, prompt: Conditioning) -> None:
    sound, person = heard(2.0), picture(1, WIDTH, HEIGHT)
    positive, negative, latent = WanSoundImageToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 2, sound, person
    )
    shown, hidden = positive[0][1], negative[0][1]
    expected = heard_in_frames(sound["hidden_states"], 0, FRAMES, 16)
    assert torch.equal(shown["audio_embed"], expected)
    assert not hidden["audio_embed"].any() and hidden["audio_embed"].shape == expected.shape
    for options in (shown, hidden):
        assert torch.equal(options["reference_latents"][0], vae.encode(person))
        assert "reference_motion" not in options and "control_video" not in options
    assert latent["samples"].shape == (2, 16, 3, HEIGHT // 8, WIDTH // 8)


def test_the_frames_before_end_where_the_film_begins(vae: Vae, prompt: Conditioning) -> None:
    before = picture(75, WIDTH, HEIGHT)
    node = WanSoundImageToVideo()
    size = (WIDTH, HEIGHT, LENGTH, 1)
    positive, *_ = node.run(prompt, prompt, vae, *size, ref_motion=before)
    assert torch.equal(positive[0][1]["reference_motion"], vae.encode(before[2:]))
    assert positive[0][1]["reference_motion"].shape[2] == 19
    positive, *_ = node.run(prompt, prompt, vae, *size, ref_motion=before[:2])
    grey = torch.full((71, HEIGHT, WIDTH, 3), 0.5)
    expected = vae.encode(torch.cat([grey, before[:2]]))
    assert torch.equal(positive[0][1]["reference_motion"], expected)


def test_a_film_to_follow_has_four_frames_for_every_latent_frame(
    vae: Vae, prompt: Conditioning
) -> None:
    film = picture(10, WIDTH, HEIGHT)
    positive, *_ = WanSoundImageToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, control_video=film
    )
    black = torch.zeros(2, HEIGHT, WIDTH, 3)
    expected = vae.encode(torch.cat([film[:1], film, black]))[:, :, 1:]
    assert torch.equal(positive[0][1]["control_video"], expected)


def test_a_next_part_goes_on_where_the_film_ends(vae: Vae, prompt: Conditioning) -> None:
    sound, film = heard(4.0), picture(30, WIDTH, HEIGHT)
    there = {"samples": vae.encode(picture(17, WIDTH, HEIGHT, seed=2))}  # five latent frames
    positive, _, latent = WanSoundImageToVideoExtend().run(
        prompt, prompt, vae, LENGTH, there, sound, control_video=film
    )
    options = positive[0][1]
    start = 5 * 4
    expected = heard_in_frames(sound["hidden_states"], start, FRAMES, 16)
    assert torch.equal(options["audio_embed"], expected)
    followed = torch.cat([film[start:], torch.zeros(2, HEIGHT, WIDTH, 3)])
    expected = vae.encode(torch.cat([followed[:1], followed]))[:, :, 1:]
    assert torch.equal(options["control_video"], expected)
    decoded = vae.decode(there["samples"])
    before = torch.cat([torch.full((73 - 17, HEIGHT, WIDTH, 3), 0.5), decoded])
    assert torch.equal(options["reference_motion"], vae.encode(before))
    assert latent["samples"].shape == (1, 16, 3, HEIGHT // 8, WIDTH // 8)


def test_a_film_to_follow_may_have_ended_long_before(vae: Vae, prompt: Conditioning) -> None:
    there = {"samples": vae.encode(picture(9, WIDTH, HEIGHT))}
    positive, *_ = WanSoundImageToVideoExtend().run(
        prompt, prompt, vae, LENGTH, there, control_video=picture(2, WIDTH, HEIGHT)
    )
    black = vae.encode(torch.zeros(FRAMES + 1, HEIGHT, WIDTH, 3))[:, :, 1:]
    assert torch.equal(positive[0][1]["control_video"], black)


def test_a_latent_of_pictures_is_no_film_to_continue(vae: Vae, prompt: Conditioning) -> None:
    with pytest.raises(InvalidInput, match="continues a film"):
        WanSoundImageToVideoExtend().run(
            prompt, prompt, vae, LENGTH, {"samples": torch.zeros(1, 16, 2, 4)}
        )
