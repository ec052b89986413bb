"""Guidance with a scale for a film and one for its sound."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.load import Checkpoint
from models.protocol.guiders import FilmAndSoundGuider
from nodes.custom_sampling.guiders import LTXVDualCFGGuider
from tests.models.protocol.test_sampling import prompt
from tests.models.protocol.test_two_models import NEGATIVE, POSITIVE, plain, sampled
from tests.parity.toy_patcher import toy_patcher

FILM, SOUND = (1, 2, 1, 2, 2), (1, 4, 3)


def guided(video: float, audio: float, shapes: Any, **options: Any) -> tuple[Tensor, list[int]]:
    """The prediction where the positive side says 1 and the negative one 0, and sides asked for."""
    made = FilmAndSoundGuider(toy_patcher("eps", 1))
    made.set_cfg(video, audio)
    made.inner_model, made._shapes = made.model_patcher.model, shapes
    made.conds = {"positive": [{}], "negative": [{}]}
    asked = []

    def predictions(told: dict[str, Any]) -> list[Tensor]:
        asked.append(sum(side is not None for side in told["conds"]))
        return [torch.ones(1, 1, 20), torch.zeros(1, 1, 20)]

    options["sampler_calc_cond_batch_function"] = predictions
    return made.predict_noise(torch.zeros(1, 1, 20), torch.ones(1), options), asked


def test_each_part_of_a_latent_has_its_scale() -> None:
    found, asked = guided(3.0, 7.0, [FILM, SOUND])
    assert found.flatten().tolist() == [3.0] * 8 + [7.0] * 12
    assert asked == [2]
    found, asked = guided(1.0, 7.0, [FILM, SOUND])
    assert found.flatten().tolist() == [1.0] * 8 + [7.0] * 12
    assert asked == [2]


def test_equal_scales_and_latents_of_one_part_have_one() -> None:
    found, asked = guided(1.0, 1.0, [FILM, SOUND])
    assert (set(found.flatten().tolist()), asked) == ({1.0}, [1])
    found, asked = guided(3.0, 7.0, [(1, 1, 20)])
    assert (set(found.flatten().tolist()), asked) == ({3.0}, [2])


def test_what_a_pack_guides_by_comes_first() -> None:
    found, _ = guided(
        3.0, 7.0, [FILM, SOUND], sampler_cfg_function=lambda told: told["input"] * 0 - 5
    )
    assert set(found.flatten().tolist()) == {5.0}  # as noise: the input less it


def test_a_film_alone_is_guided_as_by_one_scale(tiny: Checkpoint) -> None:
    (made,) = LTXVDualCFGGuider().run(tiny.model, POSITIVE, NEGATIVE, 4.0, 9.0)
    torch.testing.assert_close(
        sampled(tiny, made), plain(tiny, tiny.model, 4.0), rtol=1e-3, atol=2e-3
    )
    assert prompt(1)[0][0].equal(POSITIVE[0][0])
