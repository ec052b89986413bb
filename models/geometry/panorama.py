"""Panoramas (equirectangular): cut into views of a camera, and the distances of views merged.

As MoGe's authors do it: twelve cameras look at the corners of an icosahedron; the merged logarithm
of distance has the slopes and the curvature of the views' (by least squares, coarse to fine).
Axes are those of a camera that looks at the middle: x to the right, y down, z ahead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

VIEW_ANGLE: Final = 90.0  # degrees that each view sees
_FOCAL: Final = 0.5  # of views, whose width is 1
_COARSEST: Final = 256  # pixels of the longer side that are solved without a start
_TOLERANCE: Final = 1e-5

Progress = Callable[[], None]


def directions(height: int, width: int) -> Tensor:
    """Where the pixels [H, W, 3] of a panorama look."""
    turn = ((torch.arange(width) + 0.5) / width - 0.5) * (2 * math.pi)
    fall = ((torch.arange(height) + 0.5) / height - 0.5) * math.pi
    flat, down = fall.cos()[:, None], fall.sin()[:, None].expand(-1, width)
    return torch.stack((flat * turn.sin(), down, flat * turn.cos()), dim=-1)


def cameras() -> Tensor:
    """Twelve rotations [12, 3, 3] of these axes to those of a camera."""
    golden = (1 + math.sqrt(5)) / 2
    corners = [
        corner
        for a in (1.0, -1.0)
        for b in (golden, -golden)
        for corner in ((a, 0.0, b), (0.0, b, a), (b, a, 0.0))
    ]
    ahead = functional.normalize(torch.tensor(corners), dim=-1)
    right = functional.normalize(
        torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]).expand_as(ahead), ahead), dim=-1
    )
    return torch.stack((right, torch.linalg.cross(ahead, right), ahead), dim=1)


def view_rays(size: int) -> Tensor:
    """Where the pixels [size, size, 3] of a view look, at z = 1."""
    offset = ((torch.arange(size) + 0.5) / size - 0.5) / _FOCAL
    x, y = torch.meshgrid(offset, offset, indexing="xy")
    return torch.stack((x, y, torch.ones_like(x)), dim=-1)


def split(image: Tensor, size: int) -> Tensor:
    """What the cameras see [12, C, size, size] of a panorama [C, H, W]."""
    rays = functional.normalize(view_rays(size), dim=-1)
    seen = torch.einsum("hwc,vcd->vhwd", rays, cameras())
    turn = torch.atan2(seen[..., 0], seen[..., 2]) / math.pi  # -1 and 1 are behind
    fall = torch.asin(seen[..., 1].clamp(-1, 1)) / (math.pi / 2)
    wide = functional.pad(image[None], (1, 1, 0, 0), mode="circular")
    places = torch.stack((turn * image.shape[-1] / wide.shape[-1], fall), dim=-1)
    return functional.grid_sample(
        wide.expand(len(places), -1, -1, -1), places, align_corners=False, padding_mode="border"
    )


def merge(
    distances: Tensor, known: Tensor, height: int, width: int, check: Progress = lambda: None
) -> tuple[Tensor, Tensor]:
    """Distance and what is known [H, W] in all directions, of the views' [12, size, size].

    The geometric mean of distance is that of the views. `check` may raise to end the work.
    """
    start = None
    if max(height, width) > _COARSEST:
        start, _ = merge(distances, known, max(1, height // 2), max(1, width // 2), check)
        start = functional.interpolate(start[None, None], (height, width), mode="bilinear")[0, 0]
    check()
    logarithm, seen, valid = _warped(distances, known, height, width)
    anywhere = valid.any(dim=0)
    if not anywhere.any():
        return torch.ones(height, width), anywhere
    slopes, bends = _slopes(logarithm, valid), _bends(logarithm, valid)
    rows, values = _equations([*slopes, bends], height, width)
    solved = _solve(rows, values, None if start is None else start.log(), height, width)
    total = torch.where(seen, logarithm, 0).sum(dim=0) / seen.sum(dim=0).clamp(min=1)
    offset = (total - solved)[anywhere].mean()
    return (solved + offset).exp(), anywhere


def _warped(
    distances: Tensor, known: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each view [12, H, W]: the logarithm of distance, where it looks, where it knows."""
    looks = torch.einsum("hwd,vcd->vhwc", directions(height, width), cameras())
    plane = looks[..., :2] / looks[..., 2:].clamp(min=1e-6) * (2 * _FOCAL)  # -1..1
    seen = (looks[..., 2] > 0) & (plane.abs() < 1).all(dim=-1)
    stored = distances.clamp(min=1e-12).log()[:, None]
    logarithm = functional.grid_sample(stored, plane, align_corners=False, padding_mode="border")[
        :, 0
    ]
    certain = functional.grid_sample(
        known[:, None].float(), plane, mode="nearest", align_corners=False, padding_mode="border"
    )[:, 0]
    return torch.where(seen, logarithm, 0), seen, seen & (certain > 0)


# The mean over views of one linear measure of the map, where any view knows it, and its pixels'
# neighbours and their weights: [H, W], [H, W] bool, [(rows down, columns right, weight), ...].
_Measure = tuple[Tensor, Tensor, Sequence[tuple[int, int, float]]]


def _slopes(logarithm: Tensor, valid: Tensor) -> list[_Measure]:
    right = ((0, 0, 1.0), (0, 1, -1.0))
    down = ((0, 0, 1.0), (1, 0, -1.0))
    return [_measure(logarithm, valid, weights) for weights in (right, down)]


def _bends(logarithm: Tensor, valid: Tensor) -> _Measure:
    around = ((-1, 0, 1.0), (1, 0, 1.0), (0, -1, 1.0), (0, 1, 1.0))
    return _measure(logarithm, valid, ((0, 0, -4.0), *around))


def _measure(
    logarithm: Tensor, valid: Tensor, weights: Sequence[tuple[int, int, float]]
) -> _Measure:
    value = torch.zeros_like(logarithm)
    whole = torch.ones_like(valid)
    for down, right, weight in weights:
        value += weight * _neighbour(logarithm, down, right)
        whole &= _neighbour(valid, down, right)
    count = whole.sum(dim=0)
    mean = torch.where(whole, value, 0).sum(dim=0) / count.clamp(min=1)
    return mean, count > 0, weights


def _neighbour(values: Tensor, down: int, right: int) -> Tensor:
    """Of each pixel [..., H, W] a neighbour: round the sides, at the poles itself."""
    rows = (torch.arange(values.shape[-2]) + down).clamp(0, values.shape[-2] - 1)
    return values.roll(-right, dims=-1)[..., rows, :]


def _equations(
    measures: Sequence[_Measure], height: int, width: int
) -> tuple[Any, NDArray[np.float64]]:
    """A sparse matrix and what it should make of the map."""
    from scipy.sparse import csr_array, vstack

    numbers = torch.arange(height * width).reshape(height, width)
    rows, values = [], []
    for mean, usable, weights in measures:
        columns = torch.stack([_neighbour(numbers, d, r)[usable] for d, r, _ in weights], dim=1)
        count, size = columns.shape
        entries = np.tile(np.array([weight for _, _, weight in weights]), count)
        ends = np.arange(0, count * size + 1, size)
        shape = (count, height * width)
        rows.append(csr_array((entries, columns.flatten().numpy(), ends), shape=shape))
        values.append(mean[usable].double().numpy())
    return vstack(rows), np.concatenate(values)


def _solve(
    rows: Any, values: NDArray[np.float64], start: Tensor | None, height: int, width: int
) -> Tensor:
    from scipy.sparse.linalg import lsmr

    first = None if start is None else start.flatten().double().numpy()
    solved = lsmr(rows, values, atol=_TOLERANCE, btol=_TOLERANCE, x0=first)[0]
    return torch.from_numpy(np.asarray(solved, np.float32)).reshape(height, width)
