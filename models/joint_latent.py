"""Latents of several kinds that a model makes together: a film and its sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor

from models.errors import InvalidInput


class JointLatentUsed(InvalidInput, AttributeError):
    """A latent of several kinds was used where there can be only one."""

    def __init__(self) -> None:
        super().__init__(
            "this latent holds a film and its sound: take it apart with LTXVSeparateAVLatent"
        )


@dataclass(frozen=True)
class JointLatent:
    """Stands where the samples of a latent do, or its noise mask. It is no tensor, and says so."""

    parts: tuple[Tensor, ...]

    is_nested = True  # how samplers tell it from a tensor

    def __getattr__(self, name: str) -> NoReturn:
        raise JointLatentUsed

    def __getitem__(self, place: Any) -> NoReturn:
        raise JointLatentUsed


def film_of(samples: Any) -> Any:
    """The samples of a latent; those of the film where it holds a film and its sound."""
    return samples.parts[0] if isinstance(samples, JointLatent) else samples


def sound_of(samples: Any) -> Any:
    """The samples of a latent; those of the sound where it holds a film and its sound."""
    return samples.parts[-1] if isinstance(samples, JointLatent) else samples
