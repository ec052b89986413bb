"""Cameras of rays: from where, and with which focal length, each place of a picture is looked at.

As the authors of Depth Anything 3 find them (H. Lin et al. 2025, arXiv:2511.10647, section 3.1):
directions are a homography of places, found by RANSAC (Fischler and Bolles 1981) and taken apart
into a rotation and a lower triangular matrix of intrinsics. Pictures are 2 wide and 2 high.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

_LEAST_DEPTH: Final = 1e-4  # of a direction that is used
_SHARE: Final = 0.3  # of places, the most certain, that are drawn from
_DRAWS: Final = 100
_DRAWN: Final = 8  # places
_NEAR: Final = 0.2  # how far off a place may be that counts
_MOST: Final = 8000  # places that the last fit is of
_CERTAIN: Final = 0.95  # of those that count, the share that these are drawn from


class Camera(NamedTuple):
    """One camera."""

    pose: Tensor  # [3, 4], of the camera in the world
    focal: Tensor  # [2]
    centre: Tensor  # [2], from the upper left corner


def camera_of(rays: Tensor, confidence: Tensor) -> Camera:
    """The camera of rays [h, w, 6], direction and origin, that are so certain [h, w]."""
    rows, columns = confidence.shape
    weights = confidence.double().flatten()
    directions, origins = rays.double().reshape(-1, 6).split(3, dim=-1)  # type: ignore[no-untyped-call]
    x, y = (torch.linspace(1 / n - 1, 1 - 1 / n, n, dtype=torch.float64) for n in (columns, rows))
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
    usable = directions[:, 2].abs() > _LEAST_DEPTH
    targets = directions[:, :2] / torch.where(usable, directions[:, 2], 1)[:, None]
    matrix = _robust(places, targets, torch.where(usable, weights, 0))
    rotation, lower = _rotation_and_lower(matrix * torch.linalg.det(matrix).sign())
    lower = lower / lower[2, 2]
    place = (origins * weights[:, None]).sum(dim=0) / weights.sum()
    pose = torch.cat((rotation, place[:, None]), dim=1)
    return Camera(pose.float(), (1 / lower.diagonal()[:2]).float(), (lower[2, :2] + 1).float())


def _robust(places: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The homography [3, 3] that most places [N, 2] agree with; drawn the same way every time."""
    drawn = torch.Generator().manual_seed(0)
    order = weights.argsort(descending=True, stable=True)
    candidates = order[: max(_DRAWN, int(len(order) * _SHARE))]
    picks = torch.stack(
        [
            candidates[torch.randperm(len(candidates), generator=drawn)[:_DRAWN]]
            for _ in range(_DRAWS)
        ]
    )
    tried = _fitted(places[picks], targets[picks], weights[picks])
    ones = torch.cat((places, torch.ones_like(places[:, :1])), dim=1)
    reached = ones @ tried.mT  # draws n 3
    error = (reached[..., :2] / reached[..., 2:] - targets).norm(dim=-1)
    agrees = error < _NEAR
    best = agrees[(agrees * weights).sum(dim=1).argmax()]
    inside = order[best[order]]
    if len(inside) > _MOST:
        kept = inside[: max(int(len(inside) * _CERTAIN), _MOST)]
        inside = kept[torch.randperm(len(kept), generator=drawn)[:_MOST]]
    if len(inside) < _DRAWN:
        inside = candidates
    return _fitted(places[inside], targets[inside], weights[inside])


def _fitted(places: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Homographies [..., 3, 3] of places to targets [..., N, 2], by weighted least squares."""
    ones = torch.cat((places, torch.ones_like(places[..., :1])), dim=-1)
    scaled = ones * weights.sqrt()[..., None]
    zeros = torch.zeros_like(scaled)
    rows = torch.cat(
        (
            torch.cat((-scaled, zeros, scaled * targets[..., :1]), dim=-1),
            torch.cat((zeros, -scaled, scaled * targets[..., 1:]), dim=-1),
        ),
        dim=-2,
    )
    _, _, basis = torch.linalg.svd(rows, full_matrices=False)
    found: Tensor = basis[..., -1, :].reshape(*basis.shape[:-2], 3, 3)
    return torch.div(found, found[..., 2:, 2:])


def _rotation_and_lower(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix as a rotation times a lower triangular one with a positive diagonal."""
    rotation, upper = torch.linalg.qr(matrix.flip(1))
    rotation, lower = rotation.flip(1), upper.flip(0, 1)
    signs = lower.diagonal().sign()
    return rotation * signs, lower * signs[:, None]
