"""Types of arrays, and ranges of different lengths in one array."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Reals: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

# Told how much of the work is done, 0..1; may raise to end it.
Step: TypeAlias = Callable[[float], None]


def ragged(starts: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Ranges one after the other: which of them each number belongs to, and the numbers.

    `starts` [R] and `counts` [R] say where each begins and how long it is.
    """
    owners = np.repeat(np.arange(len(counts)), counts)
    shifts = starts - (np.cumsum(counts) - counts)
    return owners, np.arange(len(owners)) + shifts[owners]


def dots(one: Reals, other: Reals) -> Reals:
    """The dot products of rows [N, C]."""
    products: Reals = np.einsum("ij,ij->i", one, other)
    return products


def part_of(step: Step, start: float, end: float) -> Step:
    """A step within a part of the work."""
    return lambda share: step(start + share * (end - start))
