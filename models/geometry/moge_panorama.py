"""What MoGe says of panoramas: of views of them, merged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.geometry.moge_inference import MogeHandle, pixels_of, point_maps
from models.geometry.panorama import VIEW_ANGLE, directions, merge, split
from models.geometry.shapes import PointMaps


def panorama_maps(
    model: MogeHandle,
    image: Tensor,
    *,
    level: int,
    view: int,
    most: int,
    batch: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PointMaps:
    """Where the pixels of panoramas [B, H, W, C] lie; depth is the distance, there are no normals.

    Views have `view` pixels along each side, `batch` of them are seen at once, and they are merged
    with up to `most` columns. `progress` gets what is done and all that is to do, and may raise to
    end the work.
    """
    height, width = image.shape[1:3]
    columns, rows = min(most, width), min(max(1, most // 2), height)
    found, steps = [], 13 * len(image)
    for i, whole in enumerate(pixels_of(image)):
        views = split(whole, view).movedim(1, -1)

        def report(done: int, total: int, start: int = 13 * i) -> None:
            progress(start + done, steps)

        seen = point_maps(
            model,
            views,
            level=level,
            fov_x=VIEW_ANGLE,
            batch=batch,
            is_masked=False,
            progress=report,
        )
        distance, known = merge(
            seen["points"].norm(dim=-1), seen["mask"], rows, columns, lambda: report(12, 13)
        )
        found.append(
            (_scaled(distance, height, width), _scaled(known.float(), height, width) > 0.5)
        )
        report(13, 13)
    depth = torch.stack([distance for distance, _ in found])
    mask = torch.stack([known for _, known in found])
    points = depth[..., None] * directions(height, width)
    return PointMaps(
        image=image[..., :3].float().cpu(),
        points=torch.where(mask[..., None], points, torch.inf),
        depth=torch.where(mask, depth, torch.inf),
        mask=mask,
    )


def _scaled(values: Tensor, height: int, width: int) -> Tensor:
    return functional.interpolate(values[None, None], (height, width), mode="bilinear")[0, 0]
