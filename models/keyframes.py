"""Series of keyframes for hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from models.protocol.hooks import HookKeyframe, HookKeyframeGroup

EASINGS: Final[dict[str, Callable[[float], float]]] = {
    "linear": lambda t: t,
    "ease_in": lambda t: t**2,
    "ease_out": lambda t: 1 - (1 - t) ** 2,
    "ease_in_out": lambda t: 3 * t**2 - 2 * t**3,
}


def eased(start: float, end: float, count: int, easing: str) -> list[float]:
    """count values from start to end."""
    curve = EASINGS[easing]
    return [start + (end - start) * curve(float(t)) for t in np.linspace(0, 1, count)]


def series(
    strengths: Sequence[float], start: float, end: float, before: HookKeyframeGroup | None
) -> HookKeyframeGroup:
    """Keyframes at equal distances from start to end, beside those that were there before.

    The first one holds for a step at least.
    """
    made = HookKeyframeGroup() if before is None else before.clone()
    for index, percent in enumerate(eased(start, end, len(strengths), "linear")):
        made.add(HookKeyframe(strengths[index], percent, guarantee_steps=0 if index else 1))
    return made
