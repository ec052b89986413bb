"""Scales projections of attention, as patches of weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ScaledWeight:
    """A weight times a number."""

    factor: float

    def apply(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        return weight * self.factor


def scaled_projections(
    names: Iterable[str], factors: Mapping[str, float]
) -> dict[str, list[ScaledWeight]]:
    """Patches for the weights and biases of layers; `factors` has ends of layers' names."""
    return {
        name: [ScaledWeight(factor)]
        for name in names
        for end, factor in factors.items()
        if name.rpartition(".")[0].endswith(end)
    }
