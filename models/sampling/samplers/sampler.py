"""What all samplers share: their parameters, and how the registry describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any, Protocol

from torch import Tensor

from models.errors import InvalidInput
from models.sampling.noise import ContinuedNoise, NoiseSampler, brownian_noise, step_noise
from models.sampling.schedule import Schedule

Callback = Callable[[int, Tensor, Tensor], None]
"""Told the step's number, the noisy latent and the prediction; may raise to stop the run."""


class Denoiser(Protocol):
    """Predicts the clean latent from a noisy one; x [B, C, ...] in model space."""

    schedule: Schedule

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The (guided) prediction."""

    def with_unconditional(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided prediction and the one without the prompt."""


class SamplerFunction(Protocol):
    """An algorithm that takes x from sigmas[0] to sigmas[-1].

    Options are keyword arguments with defaults, different for each algorithm.
    """

    def __call__(
        self,
        denoise: Denoiser,
        x: Tensor,
        sigmas: Sequence[float],
        noise: NoiseSampler,
        callback: Callback,
        /,
        **options: Any,
    ) -> Tensor: ...


class NoiseKind(Enum):
    """Where a sampler's noise comes from."""

    NONE = "none"  # a deterministic sampler
    STEPS = "steps"  # independent draws
    BROWNIAN = "brownian"  # a Brownian path drawn on the CPU
    BROWNIAN_ON_DEVICE = "brownian_on_device"  # a Brownian path drawn where the latent is
    CONTINUED = "continued"  # draws of any shape that follow on the initial noise


def noise_of(kind: NoiseKind, x: Tensor, sigmas: Sequence[float], seed: int) -> NoiseSampler:
    """The noise of a run that starts at x; ValueError for a seed that it cannot take."""
    match kind:
        case NoiseKind.NONE:
            return _no_noise
        case NoiseKind.STEPS:
            return step_noise(x, seed)
        case NoiseKind.CONTINUED:
            return ContinuedNoise(x, seed)
        case _:
            return brownian_noise(x, sigmas, seed, on_cpu=kind is NoiseKind.BROWNIAN)


def _no_noise(sigma: float, sigma_next: float) -> Tensor:
    raise AssertionError("a sampler registered without noise asked for some")


@contextmanager
def falling_sigmas_needed(sigmas: Sequence[float]) -> Iterator[None]:
    """Raises InvalidInput for arithmetic that fails, where the sigmas do not fall all the way."""
    try:
        yield
    except (ArithmeticError, ValueError) as error:
        if all(after < before for before, after in pairwise(sigmas)):
            raise
        shown = ", ".join(f"{sigma:.4g}" for sigma in sigmas[:12])
        raise InvalidInput(
            f"this sampler cannot go along the sigmas {shown}: it needs ones that begin above 0 "
            "and fall from step to step (euler can go up, too)"
        ) from error


@dataclass(frozen=True)
class Sampler:
    """An algorithm with what a run must know about it."""

    function: Callable[..., Tensor]  # a SamplerFunction
    noise: NoiseKind = NoiseKind.NONE
    options: Mapping[str, Any] = field(default_factory=dict)
    last_sigma: float = 0.0  # stands in for a final 0 in the list of sigmas
    draws_mask_noise: bool = False  # masked regions get noise of their own, from seed + 1
