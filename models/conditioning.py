"""CONDITIONING values: given options, mixed, joined. Each function makes a new value.

A CONDITIONING is a list of `[context, options]`: an encoded prompt [1 or B, T, D] and a dict. What
the options mean is read by models.sampling.conditioning, models.protocol and models themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput

logger = logging.getLogger(__name__)

Conditioning = list[list[Any]]

# Encoded text among the options: what is done to a prompt as a whole is done to these, too.
ENCODED: Final = ("pooled_output", "conditioning_lyrics")


def with_options(conditioning: Sequence[Sequence[Any]], options: Mapping[str, Any]) -> Conditioning:
    """Every entry with these options added, or replaced where it has them."""
    return [[context, {**known, **options}] for context, known in conditioning]


def average(
    to: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]], weight: float
) -> Conditioning:
    """``weight to + (1 - weight) other``, contexts and pooled outputs, with the options of `to`.

    The other context is cut, or padded with zeros, to the length of each entry of `to`. Raises
    InvalidInput for prompts that were encoded for different models.
    """
    [context, options] = _only(other)
    other_pooled = options.get("pooled_output")
    mixed: Conditioning = []
    for target, known in to:
        check_widths(target, context)
        length = target.shape[1]
        fitted = functional.pad(context[:, :length], (0, 0, 0, max(length - context.shape[1], 0)))
        changed = dict(known)
        pooled = known.get("pooled_output", other_pooled)
        if other_pooled is not None:
            pooled = pooled * weight + other_pooled * (1 - weight)
        if pooled is not None:
            changed["pooled_output"] = pooled
        mixed.append([target * weight + fitted * (1 - weight), changed])
    return mixed


def concatenate(to: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]]) -> Conditioning:
    """Each entry of `to` with the other context after its own, along the token axis.

    Raises InvalidInput for prompts that were encoded for different models.
    """
    [context, _] = _only(other)
    joined: Conditioning = []
    for target, known in to:
        check_widths(target, context)
        counts = {len(target), len(context)}
        if len(counts) > 1 and 1 not in counts:
            raise InvalidInput(
                f"prompts for batches of {len(target)} and {len(context)} cannot be joined"
            )
        parts = [part.expand(max(counts), -1, -1) for part in (target, context)]
        joined.append([torch.cat(parts, dim=1), dict(known)])
    return joined


def check_widths(target: Tensor, other: Tensor) -> None:
    """Raise InvalidInput for prompts [B, T, D] that were encoded for different models."""
    if target.shape[-1] != other.shape[-1]:
        raise InvalidInput(
            f"prompts of {target.shape[-1]} and {other.shape[-1]} channels cannot be mixed: encode "
            "both with the text encoder of the model"
        )


def _only(conditioning: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """The first entry; others take no part, which the log says."""
    if not conditioning:
        raise InvalidInput("a conditioning without entries cannot be mixed with another")
    if len(conditioning) > 1:
        logger.warning(
            "of the conditioning that is mixed in, only the first of %d entries is used",
            len(conditioning),
        )
    return conditioning[0]


def zeroed(conditioning: Sequence[Sequence[Any]]) -> Conditioning:
    """Zeros in place of everything that was encoded."""
    return [
        [
            torch.zeros_like(context),
            {
                name: torch.zeros_like(value) if name in ENCODED and _is_tensor(value) else value
                for name, value in options.items()
            },
        ]
        for context, options in conditioning
    ]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def masked(
    conditioning: Sequence[Sequence[Any]],
    mask: Tensor,
    strength: float,
    *,
    cropped: bool,
) -> Conditioning:
    """Entries that act where a mask [H, W] or [B, H, W] is; `cropped`: within its bounds only."""
    options = {
        "mask": mask if mask.ndim > 2 else mask.unsqueeze(0),
        "set_area_to_bounds": cropped,
        "mask_strength": strength,
    }
    return with_options(conditioning, options)


def appended(
    conditioning: Sequence[Sequence[Any]], name: str, values: Sequence[Any]
) -> Conditioning:
    """Every entry with values added to the list that it has under a name."""
    return [
        [context, {**options, name: [*options.get(name, ()), *values]}]
        for context, options in conditioning
    ]
