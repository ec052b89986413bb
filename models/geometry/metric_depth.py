"""Depth of several views brought to metres by that of single pictures.

As the authors of Depth Anything 3 do it with nested networks (H. Lin et al. 2025,
arXiv:2511.10647, section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.geometry.depth_anything import Seen
from models.geometry.depth_head import Maps

_SKY: Final = 0.3  # from here on a pixel is sky
_FOCAL: Final = 300.0  # pixels, for which the network says metres
_LEAST: Final = 1e-3  # depth that counts
_LEAST_METRES: Final = 1e-2
_LEAST_PIXELS: Final = 11  # that are no sky


def in_metres(
    seen: Seen, metric: Sequence[Maps], pose: Tensor, focal: Tensor
) -> tuple[Seen, Tensor]:
    """What was seen, and poses [V, 3, 4], in metres; the sky is what single pictures say of it.

    `focal` [V, 2] is that of pictures that are 2 wide and 2 high. One factor for all views, by
    least squares over the surer half of what is no sky. Raises InvalidInput where all is sky.
    """
    depth, confidence = seen.maps.depth, seen.maps.confidence
    sky = torch.cat([maps.sky for maps in metric if maps.sky is not None])
    assert confidence is not None
    height, width = depth.shape[1:]
    pixels = (focal * torch.tensor([width / 2, height / 2])).mean(dim=-1)
    metres = torch.cat([maps.depth for maps in metric]) * (pixels / _FOCAL)[:, None, None]
    ground = sky < _SKY
    if int(ground.sum()) < _LEAST_PIXELS:
        raise InvalidInput("these pictures show nothing but sky, by which depth has no scale")
    ordered = confidence[ground].sort().values
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1].mean()
    counts = ground & (confidence >= middle) & (metres > _LEAST_METRES) & (depth > _LEAST)
    one, other = metres[counts].double(), depth[counts].double()
    factor = float((one * other).sum() / other.square().sum().clamp(min=1e-12))
    place = torch.cat((pose[..., :3], pose[..., 3:] * factor), dim=-1)
    return seen._replace(maps=seen.maps._replace(depth=depth * factor, sky=sky)), place
