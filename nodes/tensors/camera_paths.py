"""Paths of cameras, and the rays through their pixels.

Cameras look along Z, with X to the right and Y down. Paths have the lengths of MotionCtrl (Wang et
al. 2023, arXiv:2312.03641), rays the form of CameraCtrl (He et al. 2024, arXiv:2404.02101).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Final, NamedTuple

import torch
from torch import Tensor

_DISTANCE: Final = 1.5  # that a camera moves in a film, at speed 1
_TURN: Final = pi / 3  # by which it turns


class _Motion(NamedTuple):
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)  # towards which a camera moves
    roll: float = 0.0  # which way it turns around the axis it looks along; 1 is clockwise


MOTIONS: Final[Mapping[str, _Motion]] = {
    "Static": _Motion(),
    "Pan Up": _Motion(place=(0.0, -1.0, 0.0)),
    "Pan Down": _Motion(place=(0.0, 1.0, 0.0)),
    "Pan Left": _Motion(place=(-1.0, 0.0, 0.0)),
    "Pan Right": _Motion(place=(1.0, 0.0, 0.0)),
    "Zoom In": _Motion(place=(0.0, 0.0, 1.0)),
    "Zoom Out": _Motion(place=(0.0, 0.0, -1.0)),
    "Anti Clockwise (ACW)": _Motion(roll=-1.0),
    "ClockWise (CW)": _Motion(roll=1.0),
}


def camera_path(motion: str, length: int, speed: float) -> Tensor:
    """Cameras in the world [length, 4, 4], from where the first one is."""
    place, roll = MOTIONS[motion]
    shares = torch.arange(length, dtype=torch.float32) / length * speed
    angles = shares * _TURN * roll
    cameras = torch.eye(4).repeat(length, 1, 1)
    cameras[:, 0, 0] = cameras[:, 1, 1] = angles.cos()
    cameras[:, 0, 1], cameras[:, 1, 0] = -angles.sin(), angles.sin()
    cameras[:, :3, 3] = shares[:, None] * _DISTANCE * torch.tensor(place)
    return cameras


def rays(
    cameras: Tensor,
    width: int,
    height: int,
    focus: tuple[float, float],
    centre: tuple[float, float],
) -> Tensor:
    """Pluecker coordinates [6, T, height, width]: moments and directions of the pixels' rays.

    `focus` and `centre` are shares of width and height.
    """
    columns = (torch.arange(width) + 0.5 - centre[0] * width) / (focus[0] * width)
    rows = (torch.arange(height) + 0.5 - centre[1] * height) / (focus[1] * height)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    seen = torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)], dim=-1), dim=-1)
    directions = torch.einsum("tij,hwj->thwi", cameras[:, :3, :3], seen)
    origins = cameras[:, None, None, :3, 3].expand_as(directions)
    moments = torch.linalg.cross(origins, directions)
    return torch.cat([moments, directions], dim=-1).movedim(-1, 0)
