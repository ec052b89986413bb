"""What Depth Anything 3 says of pictures: depth, and from where they were taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.geometry.depth_anything import DepthAnything, Seen
from models.geometry.depth_anything_files import Opened, open_depth_anything
from models.geometry.depth_head import Maps
from models.geometry.metric_depth import in_metres
from models.geometry.ray_poses import camera_of
from models.geometry.reference_views import Strategy
from models.geometry.shapes import DepthMaps
from models.geometry.transformer import PATCH, standardised
from models.memory import Policy
from models.network import Network

Bound = Literal["upper_bound_resize", "lower_bound_resize"]
PoseMethod = Literal["cam_dec", "ray_pose"]

_LEAST_TANGENT: Final = 1e-6


@dataclass(frozen=True, kw_only=True)
class DepthAnythingHandle:
    """A reference to a loaded network; flows through DA3_MODEL sockets."""

    network: Network[DepthAnything]
    policy: Policy
    metric: Network[DepthAnything] | None = None  # of nested networks: it says depth in metres

    def see(self, pixels: Tensor, strategy: Strategy = "first", *, with_rays: bool = False) -> Seen:
        """What the network says of pictures [V, 3, H, W] in 0..1 of one scene, on the CPU."""
        return self._see(self.network, pixels, strategy, with_rays)

    def see_metric(self, pixels: Tensor) -> list[Maps]:
        """What the other of nested networks says of each picture."""
        assert self.metric is not None
        parts = pixels.split(1)  # type: ignore[no-untyped-call]
        return [self._see(self.metric, part, "first", False).maps for part in parts]

    def _see(
        self, network: Network[DepthAnything], pixels: Tensor, strategy: Strategy, with_rays: bool
    ) -> Seen:
        device, dtype = self.policy.device, network.dtype
        with self.policy.using(network, device) as model:
            said = model(standardised(pixels).to(device, dtype), strategy, with_rays=with_rays)
        maps = said.maps._make(None if m is None else m.cpu() for m in said.maps)
        return Seen(maps, None if said.cameras is None else said.cameras.cpu())


def load_depth_anything(
    path: Path, policy: Policy, dtype: torch.dtype | None = None
) -> DepthAnythingHandle:
    """The network of a file, which computes in a type if one is given. Raises ModelFileError."""
    return policy.library.fetch(
        ("depth anything", policy, dtype),
        (path,),
        lambda: _handle(open_depth_anything(path, policy, dtype), policy),
    )


def _handle(opened: Opened, policy: Policy) -> DepthAnythingHandle:
    return DepthAnythingHandle(network=opened.network, policy=policy, metric=opened.metric)


def depth_maps(
    model: DepthAnythingHandle,
    image: Tensor,
    *,
    resolution: int,
    bound: Bound,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DepthMaps:
    """Depth of pictures [B, H, W, C], each seen for itself with its longer or shorter side so long.

    `progress` gets the pictures that are done and all of them, and may raise to end the work.
    """
    pixels = fitted(image, resolution, bound)
    found = []
    for i in range(len(pixels)):
        part = pixels[i : i + 1]
        seen = model.see(part)
        if model.metric is not None and seen.cameras is not None:
            pose, focal, _ = _told(seen.cameras)
            seen, _ = in_metres(seen, model.see_metric(part), pose, focal)
        found.append(seen)
        progress(i + 1, len(pixels))
    return _maps(image, found)


def scene_maps(
    model: DepthAnythingHandle,
    image: Tensor,
    *,
    resolution: int,
    bound: Bound,
    strategy: Strategy,
    method: PoseMethod,
) -> DepthMaps:
    """Depth and cameras of pictures [V, H, W, C] of one scene, seen together.

    The cameras are those that the network says (`cam_dec`), or of the rays that it says
    (`ray_pose`). Raises InvalidInput for a network that sees one picture at a time.
    """
    shape = model.network.module.shape
    if not shape.head.is_joint or (method == "cam_dec" and not shape.has_cameras):
        raise InvalidInput(
            "this network sees one picture at a time and knows of no cameras: use the mode 'mono', "
            "or a network for any views (small, base, large, giant)"
        )
    pixels = fitted(image, resolution, bound)
    seen = model.see(pixels, strategy, with_rays=method == "ray_pose")
    if seen.maps.rays is None or seen.maps.ray_confidence is None:
        assert seen.cameras is not None
        pose, focal, centre = _told(seen.cameras)
    else:
        rays = zip(seen.maps.rays, seen.maps.ray_confidence, strict=True)
        pose, focal, centre = (
            torch.stack(part) for part in zip(*(camera_of(r, c) for r, c in rays), strict=True)
        )
    if model.metric is not None:
        seen, pose = in_metres(seen, model.see_metric(pixels), pose, focal)
    maps = _maps(image, [seen])
    maps["extrinsics"] = _inverse(pose)
    half = torch.tensor([image.shape[2] / 2, image.shape[1] / 2])
    intrinsics = torch.eye(3).repeat(len(pose), 1, 1)
    intrinsics[:, (0, 1), (0, 1)] = focal * half
    intrinsics[:, :2, 2] = centre * half
    maps["intrinsics"] = intrinsics
    return maps


def _told(cameras: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pose [V, 3, 4], focal lengths and centre [V, 2] of pictures that are 2 wide and 2 high."""
    place, quaternion, angles = cameras[:, :3], cameras[:, 3:7], cameras[:, 7:]
    pose = torch.cat((_rotation(quaternion), place[..., None]), dim=-1)
    tangents = (angles.flip(-1) / 2).tan().clamp(min=_LEAST_TANGENT)  # width, height
    return pose, 1 / tangents, torch.ones(len(cameras), 2)


def _rotation(quaternion: Tensor) -> Tensor:
    """[V, 3, 3] of x, y, z, w, of any length."""
    x, y, z, w = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    entries = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(entries, dim=-1).reshape(-1, 3, 3)


def _inverse(pose: Tensor) -> Tensor:
    """Of rotations and places [V, 3, 4]."""
    turned = pose[..., :3].mT
    return torch.cat((turned, -turned @ pose[..., 3:]), dim=-1)


def _maps(image: Tensor, found: list[Seen]) -> DepthMaps:
    """What was seen, with the sides of the pictures."""
    height, width = image.shape[1:3]

    def scaled(parts: list[Tensor]) -> Tensor:
        whole = torch.cat(parts)[:, None]
        return functional.interpolate(whole, (height, width), mode="bilinear")[:, 0]

    maps = DepthMaps(image=image[..., :3].float().cpu())
    maps["depth"] = scaled([seen.maps.depth for seen in found])
    confidence = [seen.maps.confidence for seen in found if seen.maps.confidence is not None]
    sky = [seen.maps.sky for seen in found if seen.maps.sky is not None]
    if confidence:
        maps["confidence"] = scaled(confidence)
    if sky:
        maps["sky"] = scaled(sky)
    return maps


def fitted(image: Tensor, resolution: int, bound: Bound) -> Tensor:
    """Pictures [B, 3, h, w] whose sides patches divide; the longer one, or the shorter, is so long.

    As the authors do it: first the one side, then the next multiples. What shrinks is averaged,
    what grows is interpolated.
    """
    colors = image[..., :3] if image.shape[-1] >= 3 else image[..., :1].expand(*image.shape[:-1], 3)
    pixels = colors.movedim(-1, 1).float().clamp(0, 1)
    height, width = pixels.shape[-2:]
    side = max(height, width) if bound == "upper_bound_resize" else min(height, width)
    scale = resolution / side
    pixels = _resized(pixels, *(max(1, round(s * scale)) for s in (height, width)))
    return _resized(pixels, *(_multiple(s) for s in pixels.shape[-2:]))


def _multiple(side: int) -> int:
    return max(PATCH, (side + PATCH // 2) // PATCH * PATCH)


def _resized(pixels: Tensor, height: int, width: int) -> Tensor:
    before = pixels.shape[-2:]
    if before == (height, width):
        return pixels
    if height > before[0] or width > before[1]:
        return functional.interpolate(pixels, (height, width), mode="bicubic").clamp(0, 1)
    return _shares(before[0], height) @ pixels @ _shares(before[1], width).mT


def _shares(before: int, after: int) -> Tensor:
    """Of each place after, how much of it lies on each place before: [after, before]."""
    scale = before / after
    start = torch.arange(after)[:, None] * scale
    place = torch.arange(before)
    overlap = torch.minimum(start + scale, place + 1) - torch.maximum(start, place)
    return overlap.clamp(min=0) / scale
