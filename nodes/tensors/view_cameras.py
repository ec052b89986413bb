"""Cameras that look at things in space, and how they go round them.

The world is right-handed and y is up, as in three.js, of which clients' cameras are: they look
along their own -z. What is computed here looks as in OpenCV: x to the right, y down, z ahead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput

FIELD_OF_VIEW: Final = 35.0  # degrees between top and bottom, where nothing is said
_UP: Final = (0.0, 1.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class ViewCamera:
    """A camera."""

    place: Tensor  # [3]
    target: Tensor  # [3], what it goes round
    axes: Tensor  # [3, 3], of the world to x to the right, y down, z ahead
    tangent: float  # of half of the angle between top and bottom, with zoom
    is_flat: bool = False  # orthographic: the size of things is that at the target

    def pixels(self, height: int) -> float:
        """The focal length of pictures so high; how many pixels a unit has if it is flat."""
        focal = height / 2 / self.tangent
        return focal / self.distance if self.is_flat else focal

    @property
    def distance(self) -> float:
        """From what it goes round."""
        return max(float((self.target - self.place).norm()), 1e-6)

    def turned(self, angle: float) -> ViewCamera:
        """After it went round its target, about the vertical, by so many radians."""
        sine, cosine = math.sin(angle), math.cos(angle)
        around = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        place = self.target + around @ (self.place - self.target)
        return replace(self, place=place, axes=self.axes @ around.T)


def camera_of(info: Mapping[str, Any]) -> ViewCamera:
    """The camera that a client or a node has placed. Raises InvalidInput for what is none."""
    try:
        place, target = (_point(info[name]) for name in ("position", "target"))
        zoom = float(info.get("zoom", 1.0))
        angle = float(info.get("fov", FIELD_OF_VIEW))
        roll = math.radians(float(info.get("roll", 0.0)))
        quaternion = info.get("quaternion")
        axes = _looking(target - place) if quaternion is None else _axes(quaternion)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"this is no camera: {error!r}") from error
    if not (0 < zoom < math.inf and 0 < angle < 180):
        raise InvalidInput(f"a camera cannot have the zoom {zoom:g} and the angle {angle:g}")
    if not (math.isfinite(roll) and all(part.isfinite().all() for part in (place, target, axes))):
        raise InvalidInput("the place, target and turn of a camera are finite numbers")
    right, down, ahead = axes
    sine, cosine = math.sin(roll), math.cos(roll)
    rolled = torch.stack((cosine * right - sine * down, sine * right + cosine * down, ahead))
    return ViewCamera(
        place=place,
        target=target,
        axes=rolled,
        tangent=math.tan(math.radians(angle) / 2) / zoom,
        is_flat=info.get("cameraType") == "orthographic",
    )


def camera_before(points: Tensor, aspect: float) -> ViewCamera:
    """The camera that sees nearly all of these points [N, 3], from the front, width by height."""
    sample = points[:: max(1, len(points) // 1_000_000)]
    ends = torch.quantile(sample, torch.tensor([0.01, 0.99], device=points.device), dim=0).cpu()
    middle = ends.mean(dim=0)
    radius = max(float(torch.quantile((sample.cpu() - middle).norm(dim=-1), 0.99)), 1e-6)
    tangent = math.tan(math.radians(FIELD_OF_VIEW) / 2)
    narrow = math.atan(tangent * min(1.0, aspect))
    place = middle + torch.tensor([0.0, 0.0, radius / math.sin(narrow)])
    return ViewCamera(place=place, target=middle, axes=_looking(middle - place), tangent=tangent)


def _point(given: Mapping[str, Any]) -> Tensor:
    return torch.tensor([float(given[axis]) for axis in "xyz"])


def _looking(ahead: Tensor) -> Tensor:
    """The axes of a camera that stands upright."""
    if float(ahead.norm()) == 0:
        ahead = torch.tensor([0.0, 0.0, -1.0])
    ahead = functional.normalize(ahead, dim=0)
    right = torch.linalg.cross(ahead, torch.tensor(_UP))
    if float(right.norm()) < 1e-6:  # straight up or down
        right = torch.tensor([1.0, 0.0, 0.0])
    right = functional.normalize(right, dim=0)
    return torch.stack((right, torch.linalg.cross(ahead, right), ahead))


def _axes(given: Mapping[str, Any]) -> Tensor:
    """Those of a quaternion, which turns a camera that looks along -z."""
    x, y, z, w = (float(given[axis]) for axis in "xyzw")
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if length == 0:
        raise ValueError("the quaternion is 0")
    x, y, z, w = x / length, y / length, z / length, w / length
    right = (1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w))
    up = (2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w))
    back = (2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y))
    return torch.tensor([right, [-c for c in up], [-c for c in back]])
