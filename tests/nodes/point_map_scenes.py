"""Geometry of which everything is known: planes and balls before a camera."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.geometry.shapes import PointMaps


def rays(width: int, height: int, fov_x: float) -> Tensor:
    """Where the pixels [H, W, 3] of a camera look, at z = 1; the angle is in degrees."""
    half = math.tan(math.radians(fov_x) / 2)
    x = ((torch.arange(width) + 0.5) / width * 2 - 1) * half
    y = ((torch.arange(height) + 0.5) / height * 2 - 1) * half * height / width
    x, y = torch.meshgrid(x, y, indexing="xy")
    return torch.stack((x, y, torch.ones_like(x)), dim=-1)


def intrinsics(width: int, height: int, fov_x: float) -> Tensor:
    """[3, 3], of a picture that is 1 wide and 1 high."""
    focal = 0.5 / math.tan(math.radians(fov_x) / 2)
    return torch.tensor([[focal, 0, 0.5], [0, focal * width / height, 0.5], [0, 0, 1]])


def plane(width: int, height: int, fov_x: float, normal: tuple[float, float, float]) -> PointMaps:
    """A plane with this normal through (0, 0, 2)."""
    facing = torch.nn.functional.normalize(torch.tensor(normal), dim=0)
    seen = rays(width, height, fov_x)
    points = seen * (2 * facing[2] / (seen @ facing))[..., None]
    return of_points(points, intrinsics(width, height, fov_x))


def of_points(points: Tensor, camera: Tensor) -> PointMaps:
    """The geometry of one picture [H, W, 3], of which everything is known."""
    return {
        "points": points[None],
        "depth": points[None, ..., 2],
        "mask": torch.ones(1, *points.shape[:2], dtype=torch.bool),
        "intrinsics": camera[None],
        "image": torch.rand(1, *points.shape[:2], 3, generator=torch.Generator().manual_seed(0)),
    }


def ball(size: int) -> PointMaps:
    """A ball of radius 1 around (0, 0, 3), before nothing, seen at 60 degrees."""
    seen = torch.nn.functional.normalize(rays(size, size, 60.0), dim=-1)
    along = seen[..., 2] * 3
    inside = along.square() - 8
    hit = inside > 0
    points = seen * (along - inside.clamp(min=0).sqrt())[..., None]
    geometry = of_points(
        torch.where(hit[..., None], points, torch.inf), intrinsics(size, size, 60.0)
    )
    return {**geometry, "mask": hit[None]}
