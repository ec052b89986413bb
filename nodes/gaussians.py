"""SPLAT on links: Gaussians in space (Kerbl et al. 2023, arXiv:2308.04079)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput

_COEFFICIENTS = (1, 4, 9, 16)  # of spherical harmonics of degree 0 to 3
_FARTHEST = 1e18  # from the origin along an axis: squares of distances are float32, too


class Splat:
    """A scene of Gaussians: attributes by the names of the fields of `Gaussians`."""

    positions: Tensor
    scales: Tensor
    rotations: Tensor
    opacities: Tensor
    harmonics: Tensor

    def __init__(self, **properties: Any) -> None:
        self.__dict__.update(properties)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaussians:
    """N Gaussians, float32. Axes are right-handed, and y is up."""

    positions: Tensor  # [N, 3]
    scales: Tensor  # [N, 3], standard deviations along their own axes
    rotations: Tensor  # [N, 4], quaternions w, x, y, z of length 1, of their own axes
    opacities: Tensor  # [N], 0..1
    harmonics: Tensor  # [N, 1, 4, 9 or 16, 3], coefficients of red, green and blue

    @property
    def degree(self) -> int:
        """Of the spherical harmonics: 0 if colours are the same from everywhere."""
        return _COEFFICIENTS.index(self.harmonics.shape[1])

    def where(self, kept: Tensor) -> Gaussians:
        """Some of them, by a mask [N]."""
        return Gaussians(
            positions=self.positions[kept],
            scales=self.scales[kept],
            rotations=self.rotations[kept],
            opacities=self.opacities[kept],
            harmonics=self.harmonics[kept],
        )

    def to(self, device: torch.device) -> Gaussians:
        """The same on a device."""
        return Gaussians(
            positions=self.positions.to(device),
            scales=self.scales.to(device),
            rotations=self.rotations.to(device),
            opacities=self.opacities.to(device),
            harmonics=self.harmonics.to(device),
        )


def gaussians_of(splat: Any) -> Gaussians:
    """The Gaussians of a scene. Raises InvalidInput where parts do not fit together.

    Opacities may be [N, 1], and rotations of any length; what is not finite is left out, and so
    is what lies so far away that distances are no float32.
    """
    parts: dict[str, Tensor] = {}
    for name in ("positions", "scales", "rotations", "opacities", "harmonics"):
        part = getattr(splat, name, None)
        if not isinstance(part, Tensor) or not part.ndim:
            raise InvalidInput(f"these Gaussians have no {name}")
        parts[name] = part.detach().float()
    count = len(parts["positions"])
    if not count:
        raise InvalidInput("there are no Gaussians")
    parts["opacities"] = parts["opacities"].reshape(len(parts["opacities"]), -1).squeeze(-1)
    shapes = {"positions": (3,), "scales": (3,), "rotations": (4,), "opacities": ()}
    for name, shape in shapes.items():
        if parts[name].shape != (count, *shape):
            raise InvalidInput(
                f"{name} of {count} Gaussians cannot have the shape {list(parts[name].shape)}"
            )
    shape = parts["harmonics"].shape
    if len(shape) != 3 or shape[0] != count or shape[1] not in _COEFFICIENTS or shape[2] != 3:
        raise InvalidInput(f"harmonics of {count} Gaussians cannot have the shape {list(shape)}")
    finite = torch.stack([p.reshape(count, -1).isfinite().all(dim=1) for p in parts.values()])
    length = parts["rotations"].norm(dim=-1, keepdim=True)
    parts["rotations"] = parts["rotations"] / length.clamp(min=1e-12)
    found = Gaussians(**parts)
    near = parts["positions"].reshape(count, -1).abs().amax(dim=1) < _FARTHEST
    usable = finite.all(dim=0) & near & (length[:, 0] > 0)
    found = found if usable.all() else found.where(usable)
    if not len(found.positions):
        raise InvalidInput("there are no Gaussians")
    return found


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """[N, 3, 3] of quaternions w, x, y, z of length 1."""
    w, x, y, z = quaternions.unbind(-1)
    entries = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(entries, dim=-1).reshape(-1, 3, 3)
