"""Panoramas cut into views, and distances of views merged."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.geometry.panorama import cameras, directions, merge, split, view_rays

MIDDLE = torch.tensor([0.4, -0.3, 0.8])  # of a ball of radius 3, which the viewer is inside of


def wall(looks: Tensor) -> Tensor:
    """How far away the ball is in directions [..., 3] of length 1."""
    along = looks @ MIDDLE
    return along + (along.square() - MIDDLE.square().sum() + 9).sqrt()


def seen_by_cameras(size: int) -> Tensor:
    """The distances [12, size, size] of the ball."""
    rays = functional.normalize(view_rays(size), dim=-1)
    return wall(torch.einsum("hwc,vcd->vhwd", rays, cameras()))


def test_cameras_are_rotations_that_are_spread_evenly_and_stand_upright() -> None:
    turned = cameras()
    torch.testing.assert_close(turned @ turned.mT, torch.eye(3).expand(12, 3, 3))
    torch.testing.assert_close(torch.linalg.det(turned), torch.ones(12))
    ahead = turned[:, 2]
    torch.testing.assert_close(ahead.sum(dim=0), torch.zeros(3), atol=1e-6, rtol=0)
    between = (ahead @ ahead.T).fill_diagonal_(-1).amax(dim=1)
    torch.testing.assert_close(between, torch.full((12,), 1 / math.sqrt(5)))
    assert turned[:, 0, 1].abs().max() < 1e-6  # right is level
    assert (turned[:, 1, 1] > 0).all()  # down is down


def test_a_panorama_looks_ahead_in_its_middle_and_to_the_right_of_it() -> None:
    looks = directions(64, 128)
    torch.testing.assert_close(looks[32, 64], torch.tensor([0.0, 0.0, 1.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(looks[32, 96], torch.tensor([1.0, 0.0, 0.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(looks[63, 10], torch.tensor([0.0, 1.0, 0.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(looks.norm(dim=-1), torch.ones(64, 128))


def test_views_show_what_lies_in_their_directions() -> None:
    views = split(directions(256, 512).movedim(-1, 0), 24)
    rays = functional.normalize(view_rays(24), dim=-1)
    wanted = torch.einsum("hwc,vcd->vdhw", rays, cameras())
    torch.testing.assert_close(views, wanted, atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(48, 96), (150, 300)])
def test_merged_distances_are_those_of_the_scene(size: tuple[int, int]) -> None:
    distances = seen_by_cameras(64)
    merged, known = merge(distances, torch.ones_like(distances, dtype=torch.bool), *size)
    assert known.all()
    wanted = wall(directions(*size))
    assert (merged / wanted - 1).abs().max() < 0.02


def test_views_that_disagree_on_scale_are_brought_together() -> None:
    scales = torch.linspace(0.8, 1.25, 12)[:, None, None]
    distances = seen_by_cameras(64) * scales
    merged, _ = merge(distances, torch.ones_like(distances, dtype=torch.bool), 48, 96)
    off = (merged / wall(directions(48, 96))).log()
    assert off.std() < 0.02
    assert off.mean().abs() < 0.1


def test_what_no_view_knows_is_not_known() -> None:
    distances = seen_by_cameras(64)
    rays = functional.normalize(view_rays(64), dim=-1)
    below = torch.einsum("hwc,vcd->vhwd", rays, cameras())[..., 1] > 0.7
    merged, known = merge(distances, ~below, 48, 96)
    down = directions(48, 96)[..., 1]
    assert not known[down > 0.75].any()
    assert known[down < 0.65].all()
    error = (merged / wall(directions(48, 96)) - 1).abs()
    assert error[known & (down < 0.65)].max() < 0.03


def test_nothing_known_is_no_error() -> None:
    distances = torch.ones(12, 16, 16)
    merged, known = merge(distances, torch.zeros(12, 16, 16, dtype=torch.bool), 8, 16)
    assert not known.any()
    assert merged.isfinite().all()
