"""Surfaces of Gaussians: where the scene they make begins to be dense."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.gaussians import Gaussians, rotation_matrices
from nodes.geometry.smoothing import taubin
from nodes.geometry.topology import compacted, components
from nodes.shapes import Surface
from nodes.tensors.colors import linear
from nodes.tensors.spherical_harmonics import base_colors
from nodes.tensors.surfaces import surface_net

_AT_ONCE: Final = 200_000  # Gaussians, or vertices
_WIDENED: Final = 0.5  # voxels, by which every Gaussian is wider, so that none falls between
_SHARE: Final = 0.001  # of Gaussians at each end of each axis, which the grid need not hold
_MARGIN: Final = 3  # voxels around the others
_NEIGHBOURS: Final = 16  # Gaussians that a vertex has its colour of
_BINS: Final = 256


def surface_of(
    gaussians: Gaussians,
    *,
    resolution: int,
    kernel: int,
    smoothing: int,
    level: float,
    least: int,
    sharpness: float,
    step: Callable[[int, int], None] = lambda done, total: None,
    check: Callable[[], None] = lambda: None,
) -> Surface:
    """A closed surface with linear colours, in the coordinates of the Gaussians.

    The longest side of the scene has `resolution` voxels; each Gaussian is seen in `kernel` of them
    along each axis. The surface lies where opacity passes `level` times Otsu's threshold; parts of
    less than `least` faces are left out. Colours are means of those near by, the more of the
    nearest the higher `sharpness` is. `step` gets what is done and all that is to do; it and
    `check`, which is called much more often, may raise to end the work. Raises InvalidInput where
    nothing is left.
    """
    grid, corner, voxel = opacity_grid(gaussians, resolution, kernel, check)
    step(1, 3)
    threshold = min(max(otsu(grid[grid > 0]) * level, 1e-3), 0.999)
    points, triangles = surface_net(grid, threshold)
    faces = triangles.numpy().astype(np.int64)
    if len(faces):
        count, part = components(faces, len(points))
        faces = faces[(np.bincount(part, minlength=count) >= least)[part]]
    if not len(faces):
        raise InvalidInput(
            f"no part of the surface has {least} faces: lower min_component, or level"
        )
    faces, used = compacted(faces, len(points))
    vertices = points.numpy().astype(np.float64)[used]
    if smoothing:
        vertices = taubin(vertices, faces, smoothing)
    longest = max(grid.shape) - 1
    step(2, 3)
    placed = corner + (torch.from_numpy(vertices).float() + 1) / 2 * longest * voxel
    colors = linear(_colors_at(placed, gaussians, voxel, sharpness))
    step(3, 3)
    return Surface(
        vertices=placed,
        faces=torch.from_numpy(faces),
        colors=colors,
        unlit=torch.ones(1, dtype=torch.bool),
    )


def opacity_grid(
    gaussians: Gaussians, resolution: int, kernel: int, check: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor, float]:
    """How opaque the scene is at the points of a grid [X, Y, Z], its first point, and its step.

    `check` is called again and again, and may raise to end the work.
    """
    positions = gaussians.positions
    sample = positions[:: max(1, len(positions) // 1_000_000)]
    shares = torch.tensor([_SHARE, 1 - _SHARE])
    low, high = torch.quantile(sample, shares, dim=0)
    reach = gaussians.scales.amax(dim=1).median()
    low, high = low - reach, high + reach
    voxel = max(float((high - low).max()) / (resolution - 1 - 2 * _MARGIN), 1e-9)
    corner = low - _MARGIN * voxel
    sides = [int(s) for s in ((high - low) / voxel).ceil() + 1 + 2 * _MARGIN]
    density = torch.zeros(sides[0] * sides[1] * sides[2])
    before = (kernel - 1) // 2
    offsets = torch.tensor(list(product(range(-before, kernel - before), repeat=3)))
    for start in range(0, len(positions), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        axes = rotation_matrices(gaussians.rotations[part])
        width = gaussians.scales[part].square() + (_WIDENED * voxel) ** 2
        places = (positions[part] - corner) / voxel
        nearest = places.round().long() if kernel % 2 else places.floor().long()
        for offset in offsets:
            check()
            point = nearest + offset
            away = (point - places) * voxel
            own = torch.einsum("nij,ni->nj", axes, away)
            weight = gaussians.opacities[part] * (-0.5 * (own.square() / width).sum(-1)).exp()
            inside = ((point >= 0) & (point < torch.tensor(sides))).all(dim=-1)
            flat = (point[:, 0] * sides[1] + point[:, 1]) * sides[2] + point[:, 2]
            density.index_add_(0, flat[inside], weight[inside])
    return 1 - (-density).exp().reshape(sides), corner, voxel


def otsu(values: Tensor) -> float:
    """The threshold that parts values of 0..1 into two kinds that differ most.

    N. Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    counts = torch.histc(values, _BINS, 0, 1).double()
    middles = (torch.arange(_BINS, dtype=torch.float64) + 0.5) / _BINS
    below = counts.cumsum(0)
    total, mass = below[-1], (counts * middles).cumsum(0)
    above = total - below
    difference = mass / below.clamp(min=1) - (mass[-1] - mass) / above.clamp(min=1)
    between = below * above * difference.square()
    best = (between >= between.max() * (1 - 1e-9)).nonzero()[:, 0].double()
    return float((best.mean() + 1) / _BINS)  # of a range that parts alike, the middle


def _colors_at(vertices: Tensor, gaussians: Gaussians, voxel: float, sharpness: float) -> Tensor:
    """[N, 3] in 0..1, of the Gaussians near by, by how much they are seen there."""
    from scipy.spatial import cKDTree  # takes long to import

    tree = cKDTree(gaussians.positions.numpy())
    count = min(_NEIGHBOURS, len(gaussians.positions))
    colors = base_colors(gaussians.harmonics).clamp(0, 1)
    axes = rotation_matrices(gaussians.rotations)
    width = gaussians.scales.square() + (_WIDENED * voxel) ** 2
    seen = gaussians.opacities.clamp(min=1e-6).log()
    made = []
    for part in vertices.split(_AT_ONCE):  # type: ignore[no-untyped-call]
        _, found = tree.query(part.numpy(), k=count)
        near = torch.from_numpy(np.asarray(found).reshape(len(part), count)).long()
        away = part[:, None] - gaussians.positions[near]
        own = torch.einsum("vnij,vni->vnj", axes[near], away)
        weight = seen[near] - 0.5 * (own.square() / width[near]).sum(dim=-1)
        share = (sharpness * weight).softmax(dim=-1)
        made.append((share[..., None] * colors[near]).sum(dim=1))
    return torch.cat(made)
