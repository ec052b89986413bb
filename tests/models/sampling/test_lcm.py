"""Noise of the LCM sampler, scaled and limited."""

from __future__ import annotations

import torch
from torch import Tensor

from models.sampling.samplers.lcm import sample_lcm
from models.sampling.schedule import DiscreteSchedule, Schedule

SIGMAS = (4.0, 2.0, 1.0, 0.5, 0.0)
DRAWN = torch.tensor([[-3.0, -1.0, 0.0, 1.0, 3.0]])


class Zero:
    """Predicts a latent of zeros, so that what comes next is the noise alone."""

    schedule: Schedule = DiscreteSchedule.scaled_linear()

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        return torch.zeros_like(x)

    def with_unconditional(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        raise AssertionError("not asked for")


def added(**options: float) -> list[Tensor]:
    """The noise that each step but the last adds, per unit of sigma."""
    seen: list[Tensor] = []
    sample_lcm(
        Zero(), torch.zeros_like(DRAWN), SIGMAS, lambda *_: DRAWN,
        lambda step, x, denoised: seen.append(x), **options,
    )  # fmt: skip
    return [x / sigma for x, sigma in zip(seen[1:], SIGMAS[1:], strict=False)]


def test_noise_is_scaled_from_one_number_to_another() -> None:
    for found, scale in zip(added(s_noise=1.0, s_noise_end=0.5), (1.0, 0.75, 0.5), strict=True):
        torch.testing.assert_close(found, DRAWN * scale)


def test_noise_is_held_within_standard_deviations() -> None:
    limit = float(DRAWN.std())
    torch.testing.assert_close(added(noise_clip_std=1.0)[0], DRAWN.clamp(-limit, limit))


def test_as_it_is_drawn_unless_something_is_said() -> None:
    torch.testing.assert_close(added(), [DRAWN] * 3)
