"""Latents of several kinds that a model makes together: a film and its sound."""

from __future__ import annotations

from collections.abc import Callable
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

    def each(self, function: Callable[[Tensor], Tensor]) -> JointLatent:
        """A joint latent of what a function makes of each part."""
        return JointLatent(tuple(function(part) for part in self.parts))

    def __getattr__(self, name: str) -> NoReturn:
        raise JointLatentUsed

    def __getitem__(self, place: Any) -> NoReturn:
        raise JointLatentUsed


def each_part(samples: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """What a function makes of the samples of a latent; of each part where there are several."""
    return samples.each(function) if isinstance(samples, JointLatent) else function(samples)


def film_of(samples: Any) -> Any:
    """The samples of a latent; those of the film where it holds a film and its sound."""
    return samples.parts[0] if isinstance(samples, JointLatent) else samples


def sound_of(samples: Any) -> Any:
    """The samples of a latent; those of the sound where it holds a film and its sound."""
    return samples.parts[-1] if isinstance(samples, JointLatent) else samples
