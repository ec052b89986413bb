"""Work on parts of large arrays, on all processors: NumPy lets others run while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

_MOST: Final = 8  # beyond that memory is what is waited for
_AT_ONCE: Final = 1 << 16  # rows whose numbers fit into the processor's cache

T = TypeVar("T")
R = TypeVar("R")


def spread(function: Callable[[T], R], parts: Iterable[T]) -> Iterator[R]:
    """What a function makes of each part, in order; not many are made ahead."""
    count = min(len(os.sched_getaffinity(0)), _MOST)
    with ThreadPoolExecutor(count) as pool:
        left = iter(parts)
        while batch := list(islice(left, 4 * count)):
            yield from pool.map(function, batch)


def in_parts(
    function: Callable[..., tuple[NDArray[Any], ...]], *rows: NDArray[Any]
) -> tuple[NDArray[Any], ...]:
    """What a function makes of arrays of as many rows, part by part, so that it takes little
    memory, and that in the processor's cache."""
    if len(rows[0]) <= _AT_ONCE:
        return function(*rows)
    starts = range(0, len(rows[0]), _AT_ONCE)
    found = spread(lambda start: function(*(r[start : start + _AT_ONCE] for r in rows)), starts)
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))
