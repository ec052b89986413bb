"""CONDITIONING lists, resolved for one run: what each entry says, where and when.

An entry is `[context, options]`. Options read here: `area`, `strength`, `mask`, `mask_strength`,
`set_area_to_bounds`, `start_percent`, `end_percent`. All others are the model's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.sampling.mask import fit_mask
from models.sampling.schedule import Schedule
from models.sampling.window import Window

Conditioning = Sequence[Sequence[Any]]
"""Pairs of a context tensor [1 or B, T, D] and a dict of options."""

SMALLEST_MASK_BOX = 8  # latent pixels per side


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """One conditioning of a side, ready for a latent of known size."""

    context: Tensor  # [1 or B, T, D]
    options: Mapping[str, Any]  # everything the CONDITIONING said
    window: Window | None = None  # None: the whole latent
    mask: Tensor | None = None  # [B, 1, ...] over the whole latent
    strength: float = 1.0
    mask_strength: float = 1.0
    start_sigma: float = float("inf")  # active at this noise level and below
    end_sigma: float = 0.0  # and no further down than this

    def is_active(self, sigma: float) -> bool:
        """Whether the entry takes part at a noise level; compared in single precision."""
        level = np.float32(sigma)
        return bool(np.float32(self.end_sigma) <= level <= np.float32(self.start_sigma))

    def weight(self, space: Sequence[int]) -> Tensor | float:
        """How much the prediction counts, [1 or B, 1, ...] inside the window or one number."""
        if self.mask is not None:
            mask = self.mask if self.window is None else self.window.crop(self.mask)
            return mask * (self.strength * self.mask_strength)
        feather = None if self.window is None else self.window.feather(space)
        return self.strength if feather is None else feather * self.strength


def resolve(conditioning: Conditioning, schedule: Schedule, x: Tensor) -> list[Entry]:
    """The entries of a CONDITIONING for the latent x [B, C, ...]; tensors move to its device."""
    entries = (_resolve(context, options, schedule, x) for context, options in conditioning)
    return [entry for entry in entries if entry is not None]


def _resolve(
    context: Tensor, options: Mapping[str, Any], schedule: Schedule, x: Tensor
) -> Entry | None:
    space = x.shape[2:]
    mask = options.get("mask")
    if mask is not None:
        mask = fit_mask(mask, x)
    area = options.get("area")
    if mask is not None and options.get("set_area_to_bounds"):
        window = mask_box(mask).cut(space)
    else:
        window = Window.parse(area, space) if area is not None else None
    if window is None and area is not None:
        return None
    if window is not None and window.sizes == tuple(space[-len(window.sizes) :]):
        window = None
    return Entry(
        context=context.to(x.device),
        options=options,
        window=window,
        mask=mask,
        strength=options.get("strength", 1.0),
        mask_strength=options.get("mask_strength", 1.0),
        start_sigma=_bound(options.get("start_percent"), schedule, float("inf")),
        end_sigma=_bound(options.get("end_percent"), schedule, 0.0),
    )


def _bound(percent: float | None, schedule: Schedule, default: float) -> float:
    return default if percent is None else schedule.percent_to_sigma(percent)


def mask_box(mask: Tensor) -> Window:
    """The smallest box around all non-zero pixels of a mask [..., H, W], at least 8 x 8."""
    height, width = mask.shape[-2:]
    filled = (mask != 0).reshape(-1, height, width).any(dim=0)
    rows = filled.any(dim=1).nonzero().flatten().tolist()
    columns = filled.any(dim=0).nonzero().flatten().tolist()
    if not rows:
        return Window((SMALLEST_MASK_BOX, SMALLEST_MASK_BOX), (0, 0))
    spans = [_span(rows, height), _span(columns, width)]
    return Window(tuple(size for size, _ in spans), tuple(offset for _, offset in spans))


def _span(indices: list[int], side: int) -> tuple[int, int]:
    size = max(SMALLEST_MASK_BOX, indices[-1] - indices[0] + 1)
    return size, indices[0]


def with_partners(entries: list[Entry], others: Sequence[Entry]) -> list[Entry]:
    """Add an entry with the same window for each windowed entry of the other side.

    Its context is that of the smallest entry here that covers the window; without a partner the
    two sides would be compared with different crops of the picture.
    """
    added = []
    for other in others:
        if other.window is None:
            continue
        nearest = _smallest_cover(entries, other.window)
        if nearest is not None and nearest.window != other.window:
            added.append(replace(other, context=nearest.context, options=nearest.options))
    return entries + added


def _smallest_cover(entries: Sequence[Entry], window: Window) -> Entry | None:
    covers = [e for e in entries if e.window is None or e.window.covers(window)]
    return min(
        covers,
        key=lambda e: float("inf") if e.window is None else e.window.volume,
        default=None,
    )


def repeat_to_batch(tensor: Tensor, batch: int) -> Tensor:
    """Cut or cycle a tensor [b, ...] to [batch, ...]."""
    if tensor.shape[0] == batch:
        return tensor
    if tensor.shape[0] == 1:
        return tensor.expand(batch, *tensor.shape[1:])
    rounds = -(-batch // tensor.shape[0])
    return torch.cat([tensor] * rounds)[:batch]
