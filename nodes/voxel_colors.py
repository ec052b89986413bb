"""Colours in space on VOXEL links: sparse grids, as networks that colour surfaces make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.shapes import Voxel

# Where the attributes of a voxel are among the channels of a grid.
BASE_COLOR: Final = slice(0, 3)  # sRGB
METALLIC: Final = 3
ROUGHNESS: Final = 4
ALPHA: Final = 5

_FARTHEST: Final = 2**20  # of the coordinates of voxels, so that three of them make one number


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseGrid:
    """Voxels of one object, and what its surface looks like in each.

    Voxel (i, j, k) is a cube with the centre `origin + ((i, j, k) + 0.5) * voxel_size`, in the
    units and axes of the vertices of the mesh that it belongs to.
    """

    coordinates: Tensor  # [N, 3] integers, no voxel twice
    attributes: Tensor  # [N, 6] float in 0..1: BASE_COLOR, METALLIC, ROUGHNESS, ALPHA
    origin: tuple[float, float, float] = (-0.5, -0.5, -0.5)
    voxel_size: float = 1 / 1024

    def centres(self) -> Tensor:
        """Where the middles of the voxels are [N, 3], float32 in main memory."""
        places = self.coordinates.detach().cpu().double() + 0.5
        return (places * self.voxel_size + torch.tensor(self.origin)).float()


class VoxelColors(Voxel):
    """A batch of sparse grids; `data` has their attributes, a tensor for each."""

    data: Any

    def __init__(self, grids: Sequence[SparseGrid]) -> None:
        self.grids = list(grids)
        self.data = [grid.attributes for grid in self.grids]


def grids_of(voxel: Any, count: int) -> list[SparseGrid]:
    """A grid for each of so many surfaces; the last of a shorter batch is repeated.

    Raises InvalidInput for voxels without colours, and for parts that do not fit together.
    """
    grids = getattr(voxel, "grids", None)
    if not grids:
        raise InvalidInput(
            "these voxels have no colours: take those of a node that colours a surface"
        )
    for grid in grids:
        _check(grid)
    return [grids[min(index, len(grids) - 1)] for index in range(count)]


def _check(grid: SparseGrid) -> None:
    shapes = tuple(grid.coordinates.shape), tuple(grid.attributes.shape)
    if shapes != ((len(grid.coordinates), 3), (len(grid.coordinates), 6)):
        raise InvalidInput(
            f"voxels have coordinates [N, 3] and attributes [N, 6], not {list(shapes[0])} "
            f"and {list(shapes[1])}"
        )
    if not len(grid.coordinates):
        raise InvalidInput("these voxels have no colours: the grid is empty")
    if not grid.voxel_size > 0:
        raise InvalidInput(f"voxels have a positive size, not {grid.voxel_size:g}")
    if int(grid.coordinates.abs().max()) > _FARTHEST:
        raise InvalidInput(f"voxels have coordinates of at most {_FARTHEST:,}")
