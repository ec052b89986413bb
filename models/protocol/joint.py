"""Runs of models that make a film and its sound together: samplers see one row of elements.

A sampler works on a row [B, 1, N], the film's elements before the sound's. Sounds may have noise
levels of their own, although a run has but one: with flow times bent by a shift s (Esser et al.
2024, equation 23), the latent of a film at level 1 - t and a sound x with another shift are at

    y = (level / level of the sound) x = level noise + (1 - level) (s / s of the sound) clean sound,

so that a sound that is scaled by the ratio of the shifts follows the levels of the film. This holds
for every level, and so for every sampler.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.joint_latent import JointLatent
from models.protocol.base_model import BaseModel
from models.protocol.process import prepare_mask

Shapes = Sequence[tuple[int, ...]]


class JointModel(BaseModel):
    """A model that makes a film and its sound together."""

    @abstractmethod
    def sound_ratio(self, sampling: Any) -> float:
        """The film's shift of noise levels by that of the sound, for a `model_sampling` object."""

    @abstractmethod
    def check_parts(self, parts: Sequence[Tensor]) -> None:
        """Raise InvalidInput for latents that it does not make."""


def check_joint(patcher: Any, latent: JointLatent) -> None:
    """Raise InvalidInput for a latent that a model (a ModelPatcher) does not make."""
    if not isinstance(patcher.model, JointModel):
        raise InvalidInput(
            "this model makes no films with sounds: take the latent apart with LTXVSeparateAVLatent"
        )
    patcher.model.check_parts(latent.parts)


def in_row(parts: Sequence[Tensor]) -> Tensor:
    """Tensors [B, ...] as one row [B, 1, N]."""
    return torch.cat([part.flatten(1) for part in parts], dim=1)[:, None]


def out_of_row(row: Tensor, shapes: Shapes) -> list[Tensor]:
    """The parts of a row [B, 1, N], of these shapes but for the batch."""
    sizes = [math.prod(shape[1:]) for shape in shapes]
    pieces = torch.split(row[:, 0], sizes, dim=1)
    return [
        piece.reshape(len(row), *shape[1:]) for piece, shape in zip(pieces, shapes, strict=True)
    ]


def sound_part(level: Tensor, ratio: float) -> Tensor:
    """What a scaled sound in a run is multiplied by to be at the noise level that is its own.

    The level of the sound is the film's `level` times this.
    """
    return 1 / (level + ratio * (1 - level))


@dataclass(frozen=True, kw_only=True)
class JointRow:
    """How the parts of a latent are one row in a run."""

    shapes: Shapes
    ratio: float  # that sounds are scaled by

    @classmethod
    def of(cls, patcher: Any, latent: JointLatent) -> Self:
        """For a latent of a model (a ModelPatcher). Raises InvalidInput for another model's."""
        check_joint(patcher, latent)
        ratio = patcher.model.sound_ratio(patcher.get_model_object("model_sampling"))
        return cls(shapes=[tuple(part.shape) for part in latent.parts], ratio=ratio)

    def plain(self, latent: Any) -> Tensor:
        """The row of noise."""
        return in_row(latent.parts)

    def scaled(self, latent: JointLatent) -> Tensor:
        """The row of a latent."""
        film, sound = latent.parts
        return in_row([film, sound * self.ratio])

    def parts(self, row: Tensor) -> JointLatent:
        """The latent of a row."""
        film, sound = out_of_row(row, self.shapes)
        return JointLatent((film, sound / self.ratio))

    def mask(self, mask: Any) -> Tensor:
        """The row of a mask of each part; where there is but one, it is the film's."""
        masks = mask.parts if isinstance(mask, JointLatent) else (mask, torch.ones(1, 1))
        return in_row([_spread(*pair) for pair in zip(masks, self.shapes, strict=True)])

    def reporting(self, callback: Callable[..., Any] | None) -> Callable[..., Any] | None:
        """The callback of a run, which is told of parts."""
        if callback is None:
            return None

        def report(step: int, denoised: Tensor, x: Tensor, total: int) -> None:
            callback(step, self.parts(denoised), self.parts(x), total)

        return report


def _spread(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A mask for every element of a latent."""
    is_fit = mask.ndim == len(shape) and all(
        size in (1, side) for size, side in zip(mask.shape, shape, strict=True)
    )
    spread = mask if is_fit else prepare_mask(mask, shape, mask.device)
    return spread.expand(shape)
