"""The shape of colours in space."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.errors import InvalidInput
from nodes.meshes import VoxelToMesh
from nodes.shapes import Voxel
from nodes.voxel_colors import SparseGrid, VoxelColors, grids_of


def grid(count: int = 2, channels: int = 6) -> SparseGrid:
    """Voxels in a row along x."""
    places = torch.arange(count)[:, None] * torch.tensor([[1, 0, 0]])
    return SparseGrid(coordinates=places, attributes=torch.rand(count, channels), voxel_size=0.25)


def test_the_centres_of_voxels_are_half_a_voxel_from_their_corners() -> None:
    expected = torch.tensor([[-0.375, -0.375, -0.375], [-0.125, -0.375, -0.375]])
    assert grid().centres().equal(expected)


def test_the_last_grid_of_a_shorter_batch_is_repeated() -> None:
    first, last = grid(), grid(3)
    assert grids_of(VoxelColors([first, last]), 3) == [first, last, last]


def test_voxels_without_colours_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no colours"):
        grids_of(Voxel(torch.zeros(1, 2, 2, 2)), 1)
    with pytest.raises(InvalidInput, match="the grid is empty"):
        grids_of(VoxelColors([grid(0)]), 1)


def test_voxels_without_size_and_far_away_are_refused() -> None:
    with pytest.raises(InvalidInput, match="a positive size, not 0"):
        grids_of(VoxelColors([replace(grid(), voxel_size=0.0)]), 1)
    far = replace(grid(), coordinates=torch.tensor([[0, 0, 0], [0, -(2**30), 0]]))
    with pytest.raises(InvalidInput, match="at most 1,048,576"):
        grids_of(VoxelColors([far]), 1)


def test_attributes_of_another_count_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"not \[2, 3\] and \[2, 4\]"):
        grids_of(VoxelColors([grid(channels=4)]), 1)


def test_colours_are_no_densities() -> None:
    with pytest.raises(InvalidInput, match="these voxels have none"):
        VoxelToMesh().run(VoxelColors([grid()]), "basic", 0.5)
