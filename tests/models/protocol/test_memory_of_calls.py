"""Runs with the object protocol where memory does not suffice for both sides at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.protocol.sampling import sample_latent
from tests.parity.toy import ToyModel, conditioning
from tests.parity.toy_patcher import toy_patcher


class SmallMemory(ToyModel):
    """Bears one item at once."""

    too_much = 0  # how often it was asked for more

    def denoised(
        self, x: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor, **more: torch.Tensor
    ) -> torch.Tensor:
        if len(x) > 1:
            self.too_much += 1
            raise torch.OutOfMemoryError("too much")
        return super().denoised(x, sigma, context, **more)


def sample(toy: ToyModel, batch: int = 1) -> torch.Tensor:
    options: dict[str, Any] = {
        "seed": 1, "steps": 3, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": conditioning(0.5), "negative": conditioning(-0.3),
    }  # fmt: skip
    latent = {"samples": torch.zeros(batch, 4, 6, 8)}
    model = toy_patcher("eps", 4)
    model.model.toy = toy
    result: torch.Tensor = sample_latent(model, latent, **options)["samples"]
    return result


def test_sides_are_predicted_apart() -> None:
    plain, small = ToyModel("eps", 4), SmallMemory("eps", 4)
    torch.testing.assert_close(sample(small), sample(plain))
    assert len(small.seen_sigmas) == 2 * len(plain.seen_sigmas)
    assert small.too_much == 2  # in the first step, before and after others have made room


def test_one_side_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        sample(SmallMemory("eps", 4), batch=2)
