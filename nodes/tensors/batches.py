"""Batches of different sizes and lengths made to fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from torch import Tensor

from models.math import resize

T = TypeVar("T")


def repeat_to(values: Tensor, count: int) -> Tensor:
    """A batch of exactly `count` items: from the beginning again, or cut."""
    have = values.shape[0]
    if have == count:
        return values
    if have > count:
        return values[:count]
    return values.repeat(-(-count // have), *[1] * (values.ndim - 1))[:count]


def fit(samples: Tensor, like: Tensor, method: str = "bilinear") -> Tensor:
    """[B, C, ..., H, W] cut around the centre and resized to the sides of `like`."""
    height, width = like.shape[-2:]
    if samples.shape[-2:] == like.shape[-2:]:
        return samples
    return resize(samples, width, height, method, crop=True)


def in_batches(items: Sequence[T], size: int, kind: Callable[[T], Any]) -> Iterator[Sequence[T]]:
    """Neighbours of one kind, at most `size` together."""
    start = 0
    for end in range(1, len(items) + 1):
        is_last = end == len(items)
        if is_last or end - start == size or kind(items[end]) != kind(items[start]):
            yield items[start:end]
            start = end
