"""Changes of weights by adapters, as a network applies them (models.network.WeightPatch).

Patches of the same tensors with the same strength are equal: a network does not merge again what it
has merged already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from models.lora.deltas import scaled_delta
from models.lora.files import Parts
from models.lora.rotations import rotated
from models.network import WeightPatch
from models.parts import Part
from models.stored import on_device


class _SameTensors:
    """Equality by the identity of tensors, which are not to be compared by value."""

    def _key(self) -> tuple[object, ...]:
        values = vars(self).values()
        return (type(self), *(v if isinstance(v, float) else id(v) for v in values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SameTensors) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def to(self, device: torch.device) -> Self:
        """The same change with its tensors on a device: for weights that are patched when read."""
        moved = {name: _moved(value, device) for name, value in vars(self).items()}
        return type(self)(**moved)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Mapping):
        return {name: tensor.to(device) for name, tensor in value.items()}
    return value.to(device) if isinstance(value, Tensor) else value


@dataclass(frozen=True, eq=False)
class DeltaPatch(_SameTensors):
    """One weight's change: the tensors that make it up, and how strongly it is applied."""

    parts: Parts
    strength: float

    def apply(self, weight: Tensor) -> Tensor:
        """``W + strength scale delta``, or the DoRA form of it."""
        delta = scaled_delta(self.parts, weight).reshape(weight.shape).to(weight.device)
        if "dora" not in self.parts:
            return weight + self.strength * delta
        return weight + self.strength * (_dora(weight, delta, self.parts["dora"]) - weight)

    def of_rows(self, start: int, stop: int) -> list[WeightPatch] | None:
        """The change of some rows of the weight; None for kinds that change it as a whole."""
        if not set(self.parts) <= {"up", "down", "alpha", "diff_b"}:
            return None
        return [replace(self, parts={**self.parts, "up": self.parts["up"][start:stop]})]


@dataclass(frozen=True, eq=False)
class RotationPatch(_SameTensors):
    """One weight's rotation."""

    parts: Parts
    strength: float

    def apply(self, weight: Tensor) -> Tensor:
        """The weight, turned."""
        return rotated(weight, self.parts, self.strength).to(weight)


@dataclass(frozen=True, eq=False)
class BiasPatch(_SameTensors):
    """One bias's change."""

    difference: Tensor
    strength: float

    def apply(self, weight: Tensor) -> Tensor:
        """``b + strength difference``."""
        return weight + self.strength * self.difference.to(weight).reshape(weight.shape)


@dataclass(frozen=True, eq=False)
class SetPatch(_SameTensors):
    """Another weight in place of one."""

    value: Tensor
    strength: float

    def apply(self, weight: Tensor) -> Tensor:
        """The other weight, whatever the strength."""
        return self.value.to(weight).reshape(weight.shape).clone()


@dataclass(frozen=True)
class PartPatch:
    """A change of some rows of a weight."""

    patch: WeightPatch
    part: Part

    def apply(self, weight: Tensor) -> Tensor:
        """The weight with these rows changed."""
        return self.part.put(weight, self.patch.apply(self.part.of(weight)))

    def to(self, device: torch.device) -> PartPatch:
        """The same change with its tensors on a device."""
        return replace(self, patch=on_device(self.patch, device))

    def of_rows(self, start: int, stop: int) -> list[WeightPatch] | None:
        """The change of the rows if they are those that it changes, or if it changes others."""
        ranges = self.part.rows or ()
        if ranges == ((start, stop),):
            return [self.patch]
        is_elsewhere = all(stop <= first or last <= start for first, last in ranges)
        return [] if ranges and is_elsewhere else None


@dataclass(frozen=True)
class ColumnsPatch:
    """A change of the first columns of a matrix: one made when it had no others."""

    patch: WeightPatch
    columns: int

    def apply(self, weight: Tensor) -> Tensor:
        """The weight with these columns changed."""
        changed = self.patch.apply(weight[:, : self.columns])
        return torch.cat([changed, weight[:, self.columns :]], dim=1)

    def to(self, device: torch.device) -> ColumnsPatch:
        """The same change with its tensors on a device."""
        return replace(self, patch=on_device(self.patch, device))


def _dora(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """The merged weight with the length of each row (or column) as learned (Liu et al. 2024)."""
    merged = weight + delta
    magnitude = magnitude.to(weight)
    if magnitude.shape[0] == weight.shape[0]:
        length = weight.flatten(1).norm(dim=1)
        shape = (-1, *[1] * (weight.ndim - 1))
    else:
        length = merged.transpose(0, 1).flatten(1).norm(dim=1)
        shape = (1, -1, *[1] * (weight.ndim - 2))
    length = length + torch.finfo(torch.float32).eps
    result: Tensor = merged * (magnitude.reshape(shape) / length.reshape(shape))
    return result
