"""Patches of weights in the forms that packs make them: LoRA parts, differences, whole weights.

`add_patches` takes ``{weight name: value}``. A value is an object with `apply`, a tensor or a
1-tuple of one (a difference), ``("diff", (tensor,))``, ``("set", (tensor,))``,
``("lora", (up, down, alpha, mid, dora))`` or a list from `get_key_patches`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.lora import BiasPatch, DeltaPatch, RotationPatch, SetPatch
from models.network import WeightPatch

# strength of the patch, value, strength of the model, offset (axis, start, length), function
PatchTuple = tuple[
    float, Any, float, tuple[int, int, int] | None, Callable[[Tensor], Tensor] | None
]


_OF_ADAPTERS = (DeltaPatch, BiasPatch, RotationPatch, SetPatch)


@dataclass(frozen=True, eq=False)
class ValuePatch:
    """One value of `add_patches` with its strengths; a WeightPatch."""

    value: Any
    strength: float = 1.0
    strength_model: float = 1.0
    offset: tuple[int, int, int] | None = None
    function: Callable[[Tensor], Tensor] | None = None

    def apply(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        if self.offset is None:
            return self._applied(weight)
        axis, start, length = self.offset
        changed = weight.clone()
        changed.narrow(axis, start, length).copy_(self._applied(weight.narrow(axis, start, length)))
        return changed

    def _applied(self, weight: Tensor) -> Tensor:
        if self.strength_model != 1.0:
            weight = weight * self.strength_model
        value = self.value
        if isinstance(value, _OF_ADAPTERS) and self.function is None:
            patch = replace(value, strength=value.strength * self.strength)
            return patch.apply(weight)
        if isinstance(value, tuple) and len(value) == 2 and value[0] == "set":
            return _tensor(value[1]).to(weight).reshape(weight.shape).clone()
        change = _difference(value, weight) * self.strength
        return weight + (change if self.function is None else self.function(change))

    def as_tuple(self) -> PatchTuple:
        """The form in which packs see it."""
        return (self.strength, self.value, self.strength_model, self.offset, self.function)


def as_tuple(patch: WeightPatch) -> PatchTuple:
    """Any patch in the form in which packs see it."""
    if isinstance(patch, ValuePatch):
        return patch.as_tuple()
    return (1.0, patch, 1.0, None, None)


def _tensor(value: Any) -> Tensor:
    while isinstance(value, (tuple, list)):
        value = value[0]
    if not isinstance(value, Tensor):
        raise InvalidInput(f"a weight patch holds a {type(value).__name__} instead of a tensor")
    return value


def _difference(value: Any, weight: Tensor) -> Tensor:
    """What a value adds to a weight at strength 1."""
    if isinstance(value, list):
        (base, convert), *rest = value
        whole = base.to(weight.device, torch.float32)
        if convert is not None:
            whole = convert(whole)
        return _fitting(calculate_weight(rest, whole, ""), weight)
    if hasattr(value, "apply"):
        changed: Tensor = value.apply(weight)
        return changed - weight
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        return _named(value[0], value[1], weight)
    return _fitting(_tensor(value).to(weight), weight)


def _named(kind: str, value: Any, weight: Tensor) -> Tensor:
    if kind == "diff":
        return _fitting(_tensor(value).to(weight), weight)
    if kind == "lora":
        names = ("up", "down", "alpha", "mid", "dora")
        parts = {
            name: part if isinstance(part, Tensor) else torch.tensor(float(part))
            for name, part in zip(names, value, strict=False)
            if part is not None
        }
        return DeltaPatch(parts, 1.0).apply(weight) - weight
    raise InvalidInput(f"weight patches of the kind '{kind}' are not supported")


def _fitting(difference: Tensor, weight: Tensor) -> Tensor:
    if difference.numel() == weight.numel():
        return difference.reshape(weight.shape)
    raise InvalidInput(
        f"a difference of shape {tuple(difference.shape)} does not fit a weight of "
        f"shape {tuple(weight.shape)}: models that are merged must be of one family"
    )


def calculate_weight(
    patches: Sequence[PatchTuple],
    weight: Tensor,
    key: str,
    intermediate_dtype: torch.dtype = torch.float32,
    original_weights: Any = None,
) -> Tensor:
    """A weight after patches, in the type of the weight; `key` is its name."""
    changed = weight.to(intermediate_dtype)
    for strength, value, *more in patches:
        changed = ValuePatch(value, strength, *more).apply(changed)  # type: ignore[arg-type]
    return changed.to(weight.dtype)
