"""The long way through guider and samplers gives what the short way gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from models.load import Checkpoint
from models.protocol.sampling import sample_latent
from models.sampling.samplers import SAMPLERS
from models.sampling.schedulers import SCHEDULERS


def prompt(seed: int, **options: Any) -> list[list[Any]]:
    context = torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(seed))
    return [[context, options]]


def latent(seed: int = 3, **more: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {"samples": torch.randn(1, 4, 8, 8, generator=generator), **more}


def run(model: ModelHandle, start: dict[str, Any] | None = None, **changes: Any) -> Tensor:
    options: dict[str, Any] = {
        "seed": 11,
        "steps": 4,
        "cfg": 5.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": prompt(1),
        "negative": prompt(2),
        **changes,
    }
    result: Tensor = sample_latent(model, start or latent(), **options)["samples"]
    return result


def hooked(model: ModelHandle) -> ModelHandle:
    """A model that is changed so that it changes nothing."""
    made = model.clone()
    made.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    return made


@pytest.mark.parametrize("name", SAMPLERS)
def test_both_ways_agree_for_every_sampler(tiny: Checkpoint, name: str) -> None:
    plain = run(tiny.model, sampler_name=name)
    assert torch.allclose(run(hooked(tiny.model), sampler_name=name), plain, atol=1e-4)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_both_ways_agree_for_every_scheduler(tiny: Checkpoint, name: str) -> None:
    plain = run(tiny.model, scheduler=name, denoise=0.7)
    assert torch.allclose(run(hooked(tiny.model), scheduler=name, denoise=0.7), plain, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"cfg": 1.0},
        {"start_step": 1, "last_step": 3},
        {"start_step": 1, "last_step": 3, "force_full_denoise": True},
        {"disable_noise": True},
        {"start": latent(batch_index=[2])},
        {"start": latent(noise_mask=torch.eye(8)[None, None])},
        {"start": latent(noise_mask=torch.eye(8)[None, None]), "sampler_name": "ddim"},
        {"start": {"samples": torch.zeros(2, 4, 8, 8)}},
        {"positive": prompt(1) + prompt(4, area=(4, 4, 0, 4), strength=0.7)},
        {"positive": prompt(1) + prompt(4, mask=torch.eye(8)[None], mask_strength=0.5)},
        {"positive": prompt(1, end_percent=0.5) + prompt(4, start_percent=0.5)},
        {"positive": prompt(1), "negative": prompt(4, area=("percentage", 0.5, 0.5, 0.5, 0))},
    ],
)
def test_both_ways_agree_whatever_is_asked(tiny: Checkpoint, changes: dict[str, Any]) -> None:
    assert torch.allclose(run(hooked(tiny.model), **changes), run(tiny.model, **changes), atol=1e-5)


@pytest.mark.parametrize("change", [lambda model: model, hooked])
@pytest.mark.parametrize("shape", [(1, 16, 8, 8), (1, 4, 3, 8, 8), (1, 4, 8)])
def test_a_latent_of_another_model_is_refused(
    tiny: Checkpoint, change: Callable[[ModelHandle], ModelHandle], shape: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInput, match=r"4 channels in 2 dimensions.*\[1, "):
        run(change(tiny.model), {"samples": torch.ones(shape)})


@pytest.mark.parametrize("area", [(2, 4, 4, 0, 0, 0), ("percentage", 1, 0.5, 0.5, 0, 0, 0)])
def test_an_area_of_a_film_is_refused_for_pictures(
    tiny: Checkpoint, area: tuple[float | str, ...]
) -> None:
    for model in (tiny.model, hooked(tiny.model)):
        with pytest.raises(InvalidInput, match="3 dimensions"):
            run(model, positive=prompt(1, area=area))


def test_a_prompt_for_another_model_is_refused(tiny: Checkpoint) -> None:
    wide = [[torch.ones(1, 77, 20), {}]]
    for model in (tiny.model, hooked(tiny.model)):
        with pytest.raises(InvalidInput, match="20 channels and this model takes 16"):
            run(model, positive=wide, negative=wide)
