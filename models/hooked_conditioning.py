"""CONDITIONING values that carry hooks, masks and ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from models.conditioning import Conditioning, masked, with_options
from models.protocol.hooks import HookGroup


def with_hooks(
    conditioning: Sequence[Sequence[Any]], hooks: HookGroup | None, *, append: bool = True
) -> Conditioning:
    """Every entry with hooks, beside those it has or, without `append`, in their place."""
    made: Conditioning = []
    for context, options in conditioning:
        carried = options.get("hooks") if append else None
        both = hooks if carried is None else carried.clone_and_combine(hooks)
        made.append([context, options if hooks is None else {**options, "hooks": both}])
    return made


def with_properties(
    conditioning: Sequence[Sequence[Any]],
    *,
    strength: float,
    cropped: bool,
    mask: Tensor | None = None,
    hooks: HookGroup | None = None,
    timesteps: tuple[float, float] | None = None,
    append_hooks: bool = True,
) -> Conditioning:
    """Entries with hooks, a mask and a range of the run; the strength is that of the mask."""
    made = with_hooks(conditioning, hooks, append=append_hooks)
    if mask is not None:
        made = masked(made, mask, strength, cropped=cropped)
    if timesteps is not None:
        start, end = timesteps
        made = with_options(made, {"start_percent": start, "end_percent": end})
    return made


def combined_with_default(
    conditioning: Sequence[Sequence[Any]],
    default: Sequence[Sequence[Any]],
    hooks: HookGroup | None,
    *,
    append_hooks: bool = True,
) -> list[Any]:
    """A CONDITIONING beside one that acts where masks and areas of the first leave something."""
    marked = with_options(with_hooks(default, hooks, append=append_hooks), {"default": True})
    return [*conditioning, *marked]
