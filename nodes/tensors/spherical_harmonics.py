"""Colours that depend on the direction: real spherical harmonics, ordered as by Kerbl et al. 2023.

The constants are those of P.-P. Sloan, "Stupid spherical harmonics tricks", 2008, appendix A2.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

CONSTANT: Final = 0.28209479177387814
_FIRST: Final = 0.4886025119029199
_SECOND: Final = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
_THIRD: Final = (
    0.5900435899266435,
    2.890611442640554,
    0.4570457994644658,
    0.3731763325901154,
    1.445305721320277,
)


def base_colors(harmonics: Tensor) -> Tensor:
    """Colours [N, 3] without what depends on directions; 0.5 where coefficients are 0."""
    return harmonics[:, 0] * CONSTANT + 0.5


def colors_from(harmonics: Tensor, directions: Tensor) -> Tensor:
    """Colours [N, 3] that coefficients [N, K, 3] have, looked at along directions [N, 3]."""
    degree = round(harmonics.shape[1] ** 0.5) - 1
    basis = _basis(directions, degree)
    return torch.einsum("nk,nkc->nc", basis, harmonics) + 0.5


def _basis(directions: Tensor, degree: int) -> Tensor:
    """[N, (degree + 1)^2]."""
    x, y, z = directions.unbind(-1)
    made = [torch.full_like(x, CONSTANT)]
    if degree >= 1:
        made += [-_FIRST * y, _FIRST * z, -_FIRST * x]
    if degree >= 2:
        a, b, c = _SECOND
        made += [a * x * y, -a * y * z, b * (3 * z * z - 1), -a * x * z, c * (x * x - y * y)]
    if degree >= 3:
        a, b, c, d, e = _THIRD
        made += [
            -a * y * (3 * x * x - y * y),
            b * x * y * z,
            -c * y * (5 * z * z - 1),
            d * z * (5 * z * z - 3),
            -c * x * (5 * z * z - 1),
            e * z * (x * x - y * y),
            -a * x * (x * x - 3 * y * y),
        ]
    return torch.stack(made, dim=-1)
