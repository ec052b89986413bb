"""Latents of films with sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.errors import InvalidInput
from models.load import Checkpoint
from nodes.joint_latents import LTXVConcatAVLatent, LTXVSeparateAVLatent
from nodes.latents import LatentFlip
from nodes.vae import VAEDecode, VAEDecodeTiled
from nodes.video_latents import TrimVideoLatent
from tests.models.conftest import policy, tiny, tiny_file

__all__ = ["policy", "tiny", "tiny_file"]


def _film(**more: Any) -> dict[str, Any]:
    return {"samples": torch.rand(1, 128, 3, 2, 2), "frame_rate": 25, **more}


def _sound(**more: Any) -> dict[str, Any]:
    return {"samples": torch.rand(1, 8, 20, 16), "type": "audio", **more}


def test_a_film_and_its_sound_come_apart_as_they_were() -> None:
    film, sound = _film(), _sound()
    (joint,) = LTXVConcatAVLatent().run(film, sound)
    assert LTXVSeparateAVLatent().run(joint) == (film, sound)


def test_where_one_is_given_in_part_the_other_is_made_wholly() -> None:
    mask = torch.zeros(1, 1, 3, 2, 2)
    (joint,) = LTXVConcatAVLatent().run(_film(noise_mask=mask), _sound())
    film, sound = LTXVSeparateAVLatent().run(joint)
    assert film["noise_mask"] is mask
    assert sound["noise_mask"].shape == (1, 1, 20, 16)
    assert sound["noise_mask"].all()


def test_what_takes_one_kind_of_latent_says_so() -> None:
    (joint,) = LTXVConcatAVLatent().run(_film(), _sound())
    calls: list[Callable[[], object]] = [
        lambda: LatentFlip().run(joint, "x-axis: vertically"),
        lambda: TrimVideoLatent().run(joint, 1),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="take it apart with LTXVSeparateAVLatent"):
            call()


def test_latents_are_put_together_once_and_taken_apart_once() -> None:
    (joint,) = LTXVConcatAVLatent().run(_film(), _sound())
    with pytest.raises(InvalidInput, match="already"):
        LTXVConcatAVLatent().run(joint, _sound())
    with pytest.raises(InvalidInput, match="does not hold a film and its sound"):
        LTXVSeparateAVLatent().run(_film())


def test_decoders_of_pictures_take_the_film(tiny: Checkpoint) -> None:
    pictures = torch.randn(1, 4, 9, 9, generator=torch.Generator().manual_seed(1))
    (joint,) = LTXVConcatAVLatent().run({"samples": pictures}, _sound())
    alone = {"samples": pictures}
    assert torch.equal(VAEDecode().run(tiny.vae, joint)[0], VAEDecode().run(tiny.vae, alone)[0])
    tiled, expected = (VAEDecodeTiled().run(tiny.vae, latent, 64, 16) for latent in (joint, alone))
    assert torch.equal(tiled[0], expected[0])
