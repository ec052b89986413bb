"""Guidance that treats the parts of a difference along and across a prediction apart."""

from __future__ import annotations

import torch
from torch import Tensor

from models.guidance.rescaled import length, per_item


def split(v: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """The parts of v parallel and orthogonal to another tensor, item by item."""
    axes = per_item(v)
    unit = along / length(along, axes).clamp(min=1e-12)
    parallel = (v * unit).sum(dim=axes, keepdim=True) * unit
    return parallel, v - parallel


def zero_star_scale(positive: Tensor, negative: Tensor) -> Tensor:
    """The factor s of CFG-Zero* (Fan et al. 2025), one number per item.

    It brings the negative prediction as near to the positive one as a factor can.
    """
    axes = per_item(positive)
    product = (positive * negative).sum(dim=axes, keepdim=True)
    scale: Tensor = product / ((negative**2).sum(dim=axes, keepdim=True) + 1e-8)
    return scale


def zero_star(x: Tensor, positive: Tensor, negative: Tensor, cfg: float) -> Tensor:
    """CFG-Zero* (Fan et al. 2025), equation 5, without zero-init: the guided clean latent.

    The factor is that of the noise in x that the two predictions stand for.
    """
    scaled = negative * zero_star_scale(x - positive, x - negative)
    return torch.lerp(scaled, positive, cfg)


def tangential_damping(positive: Tensor, negative: Tensor) -> Tensor:
    """The negative score without what is foreign to both scores (Kwon et al. 2025, TCFG).

    It is projected on the first right singular vector of the two, item by item.
    """
    pair = torch.stack([positive.flatten(1), negative.flatten(1)], dim=1).float()  # b 2 n
    # linalg.svd is not implemented for half precision; in 2 rows it costs next to nothing.
    _, _, rows = torch.linalg.svd(pair, full_matrices=False)
    first = rows[:, :1]  # b 1 n
    damped = (pair[:, 1:] @ first.transpose(1, 2)) @ first
    result: Tensor = damped.reshape(negative.shape).to(negative.dtype)
    return result


def perpendicular_negative(
    positive: Tensor, negative: Tensor, neutral: Tensor, *, cfg: float, neg_scale: float
) -> Tensor:
    """Perp-Neg (Armandpour et al. 2023), equation 8: the guided prediction.

    Of the negative direction only what is orthogonal to the positive one is pushed away from;
    directions are seen from the neutral prediction. The whole batch counts as one vector.
    """
    wanted, unwanted = positive - neutral, negative - neutral
    # Equal prompts want nothing: then all of the negative one is new.
    overlap = (wanted * unwanted).sum() / (wanted.norm() ** 2).clamp(min=1e-30)
    guided: Tensor = neutral + cfg * (wanted - neg_scale * (unwanted - overlap * wanted))
    return guided


class AdaptiveProjection:
    """Adaptive projected guidance (Sadat et al. 2024), algorithm 1, in the course of one run."""

    def __init__(self, *, eta: float, norm_threshold: float, momentum: float) -> None:
        self.eta = eta  # how much of the part along the positive prediction stays
        self.norm_threshold = norm_threshold  # the longest difference; 0: any
        self.momentum = momentum
        self._average: Tensor | float = 0.0

    def reset(self) -> None:
        """A new run begins."""
        self._average = 0.0

    def difference(self, positive: Tensor, negative: Tensor) -> Tensor:
        """What is to be added, times the guidance scale, to the positive prediction."""
        difference = positive - negative
        if self.momentum != 0:
            difference = self._average = difference + self.momentum * self._average
        if self.norm_threshold > 0:
            found = length(difference, per_item(difference))
            difference = difference * (self.norm_threshold / found).clamp(max=1.0)
        parallel, orthogonal = split(difference, positive)
        return orthogonal + self.eta * parallel
