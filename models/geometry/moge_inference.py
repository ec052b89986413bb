"""What MoGe says of pictures: points in front of a camera, whose focal length it finds.

As the authors do it (Wang et al. 2024, arXiv:2410.19115, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.geometry.moge import FirstMoGe, Prediction, SecondMoGe
from models.geometry.moge_files import open_moge
from models.geometry.shapes import PointMaps
from models.geometry.view_plane import view_plane
from models.memory import Policy
from models.network import Network

_Key = Literal["points", "depth", "mask", "intrinsics", "normal"]
_KNOWN: Final = 0.5  # what a mask is above where something is known
_SAMPLES: Final = 64  # rows and columns by which the camera is found
_FINEST: Final = 9  # level

_KEYS: Final[frozenset[_Key]] = frozenset(get_args(_Key))

Numbers = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class MogeHandle:
    """A reference to a loaded network; flows through MOGE_MODEL sockets."""

    network: Network[FirstMoGe | SecondMoGe]
    policy: Policy

    def predict(self, pixels: Tensor, level: float) -> Prediction:
        """What the network says of pictures [B, 3, H, W], on the CPU. Levels go from 0 to 9."""
        coarsest, finest = self.network.module.shape.tokens
        tokens = int(coarsest + level / _FINEST * (finest - coarsest))
        device, dtype = self.policy.device, self.network.dtype
        with self.policy.using(self.network, device) as model:
            said = model(pixels.to(device, dtype), tokens)
        points, mask, normal, scale = (
            None if part is None else part.float().cpu() for part in said
        )
        assert points is not None
        return Prediction(points, mask, normal, scale)


def load_moge(path: Path, policy: Policy) -> MogeHandle:
    """The network of a file. Raises ModelFileError."""
    return policy.library.fetch(
        ("moge", policy),
        (path,),
        lambda: MogeHandle(network=open_moge(path, policy), policy=policy),
    )


def point_maps(
    model: MogeHandle,
    image: Tensor,
    *,
    level: int,
    fov_x: float = 0.0,
    batch: int = 4,
    is_projected: bool = True,
    is_masked: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PointMaps:
    """Where the pixels of pictures [B, H, W, C] lie.

    `fov_x` is the angle in degrees between left and right, 0 where it is not known. With
    `is_projected`, points lie exactly where the camera sees them; with `is_masked`, what is not
    known is infinitely far away. `batch` pictures are seen at once; `progress` gets those that are
    done and all of them, and may raise to end the work.
    """
    pixels = pixels_of(image)
    found: list[PointMaps] = []
    for start in range(0, len(pixels), batch):
        part = pixels[start : start + batch]
        maps = in_camera(model.predict(part, level), fov_x, is_projected=is_projected)
        found.append(_masked(maps) if is_masked else maps)
        progress(start + len(part), len(pixels))
    joined = PointMaps(image=image[..., :3].float().cpu())
    for key in _KEYS & found[0].keys():
        joined[key] = torch.cat([maps[key] for maps in found])
    return joined


def pixels_of(image: Tensor) -> Tensor:
    """Pictures [B, H, W, C] as networks take them: [B, 3, H, W] in 0..1, float32."""
    if image.shape[-1] < 3:
        image = image[..., :1].expand(*image.shape[:-1], 3)
    return image[..., :3].movedim(-1, 1).float().clamp(0, 1)


def in_camera(said: Prediction, fov_x: float, *, is_projected: bool) -> PointMaps:
    """Points, depth, mask and intrinsics of a prediction, and what else it has.

    The focal length and the offset of depth are those by which points fall onto their pixels best.
    """
    height, width = said.points.shape[1:3]
    aspect = width / height
    diagonal = math.hypot(1, aspect)
    known = None if said.mask is None else said.mask > _KNOWN
    fixed = None
    if fov_x > 0:
        fixed = aspect / diagonal / math.tan(math.radians(fov_x) / 2)
    pairs = [
        focal_and_shift(points, None if known is None else known[i], fixed)
        for i, points in enumerate(said.points)
    ]
    focal, shift = torch.tensor(pairs).T
    intrinsics = torch.eye(3).repeat(len(focal), 1, 1)
    intrinsics[:, 0, 0] = focal / 2 * diagonal / aspect
    intrinsics[:, 1, 1] = focal / 2 * diagonal
    intrinsics[:, :2, 2] = 0.5
    depth = said.points[..., 2] + shift[:, None, None]
    if is_projected:
        points = unprojected(depth, intrinsics)
    else:
        points = torch.cat((said.points[..., :2], depth[..., None]), dim=-1)
    if said.scale is not None:
        points, depth = points * said.scale[:, None, None, None], depth * said.scale[:, None, None]
    mask = depth > 0 if known is None else known & (depth > 0)
    maps = PointMaps(points=points, depth=depth, mask=mask, intrinsics=intrinsics)
    if said.normal is not None:
        maps["normal"] = said.normal
    return maps


def _masked(maps: PointMaps) -> PointMaps:
    """With nothing where nothing is known."""
    known = maps["mask"]
    made = PointMaps(
        points=torch.where(known[..., None], maps["points"], torch.inf),
        depth=torch.where(known, maps["depth"], torch.inf),
        mask=known,
        intrinsics=maps["intrinsics"],
    )
    if "normal" in maps:
        made["normal"] = torch.where(known[..., None], maps["normal"], 0)
    return made


def unprojected(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Points [B, H, W, 3] of depth [B, H, W], by intrinsics of pictures of width and height 1."""
    height, width = depth.shape[1:]
    x = (torch.arange(width) + 0.5) / width
    y = (torch.arange(height) + 0.5) / height
    focal, centre = intrinsics[:, (0, 1), (0, 1)], intrinsics[:, :2, 2]
    right = (x - centre[:, :1]) / focal[:, :1]
    down = (y - centre[:, 1:]) / focal[:, 1:]
    return torch.stack((depth * right[:, None], depth * down[..., None], depth), dim=-1)


def focal_and_shift(
    points: Tensor, known: Tensor | None, focal: float | None = None
) -> tuple[float, float]:
    """By which points [H, W, 3] fall onto their pixels: the least squares of `f xy / (z + s) - uv`.

    The focal length is that of a picture whose half diagonal is 1; it may be given. (1, 0) where
    less than two pixels are known.
    """
    height, width = points.shape[:2]
    plane = view_plane(height, width, width / height, points)
    if known is None:
        known = torch.ones(height, width, dtype=torch.bool)
    stacked = torch.cat((points.movedim(-1, 0)[None], plane, known[None, None].to(points)), dim=1)
    sampled = functional.interpolate(stacked, (_SAMPLES, _SAMPLES), mode="nearest")[0]
    taken = sampled[:, sampled[5] > 0].numpy()
    if taken.shape[1] < 2:
        return focal or 1.0, 0.0
    return _least_squares(taken[:2].T, taken[2], taken[3:5].T, focal)


def _least_squares(
    xy: Numbers, z: Numbers, wanted: Numbers, focal: float | None
) -> tuple[float, float]:
    from scipy.optimize import least_squares

    def projected(shift: Numbers) -> tuple[float, Numbers]:
        seen = xy / (z + shift)[:, None]
        best = focal or float((seen * wanted).sum() / np.square(seen).sum())
        return best, seen

    def error(shift: Numbers) -> Numbers:
        best, seen = projected(shift)
        return (best * seen - wanted).ravel()

    try:
        solved = least_squares(error, x0=0, ftol=1e-3, method="lm").x.astype(np.float32)
    except ValueError as wrong:  # infinite or no numbers
        raise InvalidInput("the network says points that are no numbers") from wrong
    return projected(solved)[0], float(solved[0])
