"""Maps of points in space: their normals, their nearness, and surfaces through them.

Points are those of cameras as in OpenCV: x to the right, y down, z ahead.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nodes.shapes import Surface

_FARTHEST, _NEAREST = 0.001, 0.99  # shares of pixels that count as both ends of what is near


def nearness(depth: Tensor, known: Tensor) -> Tensor:
    """Depth [B, H, W] as 1 for what is near to 0 for what is far, and 0 where nothing is known.

    As MoGe's authors show it: the inverse of depth, between two quantiles of each picture.
    """
    known = known & depth.isfinite() & (depth > 0)
    inverse = torch.where(known, 1 / depth.clamp(min=1e-12), 0)
    made = torch.zeros_like(inverse)
    for i, (values, valid) in enumerate(zip(inverse, known, strict=True)):
        if valid.any():
            ends = np.quantile(values[valid].cpu().numpy(), (_FARTHEST, _NEAREST))
            far, near = float(ends[0]), float(ends[1])
            scaled = (values - far) / max(near - far, 1e-12)
            made[i] = torch.where(valid, scaled.clamp(0, 1), 0)
    return made


def normals_of(points: Tensor, known: Tensor) -> Tensor:
    """The directions [B, H, W, 3] in which surfaces face: towards the camera, of length 1.

    The mean of those of the four triangles with the pixel's neighbours, as far as these are known;
    0 where none is.
    """
    known = known & points.isfinite().all(dim=-1)
    padded = functional.pad(torch.where(known[..., None], points, 0), (0, 0, 1, 1, 1, 1))
    valid = functional.pad(known, (1, 1, 1, 1))
    height, width = known.shape[1:]
    around = [
        (
            padded[:, y : y + height, x : x + width] - padded[:, 1:-1, 1:-1],
            valid[:, y : y + height, x : x + width] & known,
        )
        for y, x in ((0, 1), (1, 0), (2, 1), (1, 2))  # up, left, down, right
    ]
    total = torch.zeros_like(points)
    for (first, first_known), (second, second_known) in zip(
        around, around[1:] + around[:1], strict=True
    ):
        facing = functional.normalize(torch.linalg.cross(first, second), dim=-1)
        total += torch.where((first_known & second_known)[..., None], facing, 0)
    return functional.normalize(total, dim=-1)


def surface_of(points: Tensor, known: Tensor, *, stride: int, jump: float, around: bool) -> Surface:
    """The surface through every `stride`th of these points [H, W, 3] that are known [H, W].

    Triangles whose corners' distances from the camera differ by more than `jump`, as a share of the
    nearest, are left out, and so are points without triangles. With `around` the last column
    borders on the first, as in a panorama. In the surface y is up and -z ahead, as in glTF.
    """
    height, width = known.shape
    rows, columns = torch.arange(0, height, stride), torch.arange(0, width, stride)
    grid = points[rows][:, columns]
    valid = known[rows][:, columns] & grid.isfinite().all(dim=-1)
    u, v = (columns + 0.5) / width, (rows + 0.5) / height
    if around:
        grid, valid = (torch.cat((x, x[:, :1]), dim=1) for x in (grid, valid))
        u = torch.cat((u, u[:1] + 1))
    faces = _triangles(len(rows), len(u))
    flat, distance = grid.reshape(-1, 3), grid.norm(dim=-1).flatten()
    corners = distance[faces]
    near, far = corners.amin(dim=1), corners.amax(dim=1)
    faces = faces[valid.flatten()[faces].all(dim=1) & (far - near <= jump * near)]
    used = torch.zeros(len(flat), dtype=torch.bool)
    used[faces] = True
    numbers = used.cumsum(0) - 1
    uvs = torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=-1).reshape(-1, 2)
    turned = flat[used] * flat.new_tensor([1.0, -1.0, -1.0])
    return Surface(vertices=turned, faces=numbers[faces], uvs=uvs[used])


def _triangles(rows: int, columns: int) -> Tensor:
    """Two for each four neighbours in a grid, [2 (rows - 1) (columns - 1), 3]."""
    corner = torch.arange(rows * columns).reshape(rows, columns)
    upper_left, upper_right = corner[:-1, :-1].flatten(), corner[:-1, 1:].flatten()
    lower_left, lower_right = corner[1:, :-1].flatten(), corner[1:, 1:].flatten()
    return torch.cat(
        (
            torch.stack((upper_left, lower_left, lower_right), dim=1),
            torch.stack((upper_left, lower_right, upper_right), dim=1),
        )
    )
