"""Cameras found by the rays of their pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.geometry.ray_poses import camera_of

ROWS, COLUMNS = 20, 28
FOCAL = torch.tensor([1.4, 1.9])
PLACE = torch.tensor([0.3, -2.0, 1.1])


def _turned() -> Tensor:
    """A rotation about two axes."""
    a, b = math.radians(25), math.radians(-40)
    about_y = torch.tensor(
        [[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]]
    )
    about_x = torch.tensor(
        [[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]]
    )
    return about_y @ about_x


def _rays() -> Tensor:
    x = (torch.arange(COLUMNS) + 0.5) / COLUMNS * 2 - 1
    y = (torch.arange(ROWS) + 0.5) / ROWS * 2 - 1
    plane = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1) / FOCAL
    seen = torch.cat((plane, torch.ones(ROWS, COLUMNS, 1)), dim=-1) @ _turned().T
    return torch.cat((seen, PLACE.expand_as(seen)), dim=-1)


def test_the_camera_of_exact_rays_is_found_exactly() -> None:
    found = camera_of(_rays(), torch.ones(ROWS, COLUMNS))
    torch.testing.assert_close(found.focal, FOCAL, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.centre, torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.pose[:, :3], _turned(), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.pose[:, 3], PLACE, atol=1e-4, rtol=0)


def test_the_length_of_directions_does_not_matter() -> None:
    rays = _rays()
    rays[..., :3] *= torch.linspace(0.5, 3, COLUMNS)[:, None]
    found = camera_of(rays, torch.ones(ROWS, COLUMNS))
    torch.testing.assert_close(found.focal, FOCAL, atol=1e-4, rtol=0)


def test_rays_that_are_far_off_do_not_count() -> None:
    rays = _rays()
    noise = torch.randn(5, COLUMNS, 3, generator=torch.Generator().manual_seed(1))
    rays[15:, :, :3] += 3 * noise
    found = camera_of(rays, torch.ones(ROWS, COLUMNS))
    torch.testing.assert_close(found.focal, FOCAL, atol=0.1, rtol=0)
    torch.testing.assert_close(found.pose[:, :3], _turned(), atol=0.05, rtol=0)


def test_what_is_not_certain_weighs_less() -> None:
    rays, confidence = _rays(), torch.full((ROWS, COLUMNS), 1.0)
    rays[10:, :, 3:] += 100
    confidence[10:] = 1e-6
    found = camera_of(rays, confidence)
    torch.testing.assert_close(found.pose[:, 3], PLACE, atol=1e-2, rtol=0)


def test_the_same_rays_give_the_same_camera() -> None:
    rays = _rays() + 0.05 * torch.randn(
        ROWS, COLUMNS, 6, generator=torch.Generator().manual_seed(2)
    )
    first = camera_of(rays, torch.ones(ROWS, COLUMNS))
    torch.rand(5)
    again = camera_of(rays, torch.ones(ROWS, COLUMNS))
    assert (first.pose == again.pose).all()
    assert (first.focal == again.focal).all()
