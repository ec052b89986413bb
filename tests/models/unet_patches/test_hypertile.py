"""Tiles of self-attention: which, and that they hold what lies together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.unet_patches.hypertile import HyperTile, tile_counts


def tokens(height: int, width: int) -> Tensor:
    """[2, h w, 2]: every token says where it is."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows, columns], dim=-1).reshape(1, -1, 2).float()
    return torch.cat([places, places + 100])


def patch(**changes: object) -> HyperTile:
    options = {"tile": 4, "choices": 1, "depth": 0, "scale_depth": False} | changes
    made = HyperTile(**options)  # type: ignore[arg-type]
    made.reset()
    return made


@pytest.mark.parametrize(
    ("side", "smallest", "choices", "expected"),
    [(8, 4, 1, [2]), (8, 2, 3, [4, 2, 1]), (12, 5, 2, [2, 1]), (3, 4, 2, [1]), (7, 2, 3, [1])],
)
def test_tiles_divide_a_side(side: int, smallest: int, choices: int, expected: list[int]) -> None:
    assert tile_counts(side, smallest, choices) == expected


def test_a_tile_holds_neighbours_of_one_picture() -> None:
    x = tokens(8, 12)
    q, k, v = patch().split(x, x, x, {"original_shape": [2, 4, 8, 12]})
    assert q.shape == (2 * 2 * 3, 16, 2) and torch.equal(q, k) and torch.equal(q, v)
    spread = q.amax(dim=1) - q.amin(dim=1)
    assert spread.tolist() == [[3.0, 3.0]] * 12


def test_joining_undoes_splitting() -> None:
    x = tokens(8, 12)
    tiling = patch()
    q, _, _ = tiling.split(x, x, x, {"original_shape": [2, 4, 8, 12]})
    assert torch.equal(tiling.join(q, {}), x)


@pytest.mark.parametrize(("depth", "tiles"), [(0, 1), (1, 4)])
def test_coarser_levels_are_tiled_down_to_a_depth(depth: int, tiles: int) -> None:
    x = tokens(8, 8)
    q, _, _ = patch(depth=depth).split(x, x, x, {"original_shape": [2, 4, 16, 16]})
    assert q.shape[0] == 2 * tiles


def test_the_tile_of_a_coarser_level_can_be_kept_in_its_own_pixels() -> None:
    x = tokens(8, 8)
    tiling = patch(depth=1, scale_depth=True)
    q, _, _ = tiling.split(x, x, x, {"original_shape": [2, 4, 16, 16]})
    assert q is x and tiling.join(q, {}) is x


def test_choices_among_tiles_are_the_same_in_every_run() -> None:
    x = tokens(8, 8)
    tiling = patch(tile=1, choices=4)
    told = {"original_shape": [2, 4, 8, 8]}

    def shapes() -> list[torch.Size]:
        tiling.reset()
        return [tiling.split(x, x, x, told)[0].shape for _ in range(12)]

    first = shapes()
    assert len(set(first)) > 1
    assert shapes() == first
