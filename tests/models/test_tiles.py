"""Tiles that overlap make the picture that the whole makes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.tiles import scale_in_tiles


def double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest") + 1


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (9, 30), (31, 8)])
@pytest.mark.parametrize("overlap", [0, 2, 4])
def test_a_function_of_each_pixel_gives_the_same_in_tiles(
    size: tuple[int, int], overlap: int
) -> None:
    samples = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    tiled = scale_in_tiles(samples, double, tile=(8, 8), overlap=overlap, scale=(2, 1))
    assert torch.allclose(tiled, double(samples), atol=1e-5)


def test_no_tile_is_larger_than_asked_for() -> None:
    shapes: list[tuple[int, ...]] = []

    def half(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return x[..., ::2, ::2]

    samples = torch.zeros(1, 1, 40, 24)
    assert scale_in_tiles(samples, half, tile=(16, 16), overlap=4, scale=(1, 2)).shape[-2:] == (
        20,
        12,
    )
    assert set(shapes) == {(1, 1, 16, 16)} and len(shapes) == 6


def test_each_part_weighs_less_towards_its_border() -> None:
    count = 0

    def number(x: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return torch.full_like(x, float(count))

    row = scale_in_tiles(torch.zeros(1, 1, 1, 12), number, tile=(8, 8), overlap=4, scale=(1, 1))
    values = row[0, 0, 0].tolist()
    assert values[:4] == [1.0] * 4 and values[-4:] == [2.0] * 4
    assert values[4:8] == sorted(values[4:8]) and 1.0 < values[4] < values[7] < 2.0
