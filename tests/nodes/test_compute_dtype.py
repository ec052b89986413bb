"""A model that computes in another number type, beside those that do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.load import Checkpoint
from models.protocol.patcher import ModelPatcher
from models.protocol.sampling import sample_latent
from nodes.model_sampling import ModelComputeDtype
from tests.models.conftest import policy, tiny, tiny_file

__all__ = ["policy", "tiny", "tiny_file"]

PROMPT = [[torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(1)), {}]]


def sampled(model: ModelPatcher) -> Tensor:
    result: Tensor = sample_latent(
        model,
        {"samples": torch.zeros(1, 4, 8, 8)},
        seed=3,
        steps=2,
        cfg=2.0,
        sampler_name="euler",
        scheduler="normal",
        positive=PROMPT,
        negative=PROMPT,
    )["samples"]
    return result


def types_of(model: Any) -> set[torch.dtype]:
    return {weight.dtype for weight in model.network.module.parameters()}


@pytest.mark.parametrize(
    ("name", "dtype", "closeness"),
    [("bf16", torch.bfloat16, 0.05), ("fp32", torch.float32, 1e-5)],
)
def test_a_model_computes_in_the_type_asked_for(
    tiny: Checkpoint, name: str, dtype: torch.dtype, closeness: float
) -> None:
    plain = sampled(tiny.model)
    (made,) = ModelComputeDtype().run(tiny.model, name)
    other = sampled(made)
    assert types_of(made) == {dtype}
    assert (other - plain).norm() <= closeness * plain.norm()


def test_models_of_one_file_take_turns(tiny: Checkpoint) -> None:
    plain = sampled(tiny.model)
    (made,) = ModelComputeDtype().run(tiny.model, "bf16")
    half = sampled(made)
    assert torch.equal(sampled(tiny.model), plain)
    assert types_of(tiny.model) == {torch.float32}
    assert torch.equal(sampled(made), half)
    (default,) = ModelComputeDtype().run(made, "default")
    assert torch.allclose(sampled(default), plain, atol=1e-5)
