"""Pictures of Gaussians: EWA splatting.

M. Zwicker et al., "EWA splatting", 2001; B. Kerbl et al., "3D Gaussian splatting for real-time
radiance field rendering", 2023 (arXiv:2308.04079), section 6: Gaussians are sorted by depth once,
listed by tiles of the picture, and composited front to back, many tiles at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from nodes.gaussians import Gaussians, rotation_matrices
from nodes.tensors.view_cameras import ViewCamera

_SMALL_TILE: Final = 8  # pixels along each side
_TILE: Final = 16
_SMALL: Final = 6.0  # pixels that most ellipses reach, below which small tiles take less time
_LOW_PASS: Final = 0.3  # squared pixels, which every Gaussian is widened by
_LEAST: Final = 1 / 255  # opacity that counts
_FAINT: Final = -16.0  # the logarithm of what does not count; exponentials of less take long
_MOST: Final = 0.99  # opacity of a Gaussian in a pixel
_OPAQUE: Final = 1e-4  # what may still be seen through a pixel that is done
_NEAREST: Final = 0.01  # of the distance of the target: what is nearer is not drawn
_BESIDE: Final = 1.3  # half pictures; further out, Gaussians are shaped as if they were there
_AT_ONCE: Final = 32  # Gaussians of a tile
_NUMBERS: Final = {"cpu": 600_000}  # pixels times Gaussians in memory: what caches hold
_MANY: Final = 16_000_000  # of them elsewhere
_MOST_PAIRS: Final = 32_000_000  # Gaussians times tiles in memory


@dataclass(frozen=True, kw_only=True)
class Projected:
    """Ellipses in a picture, nearest first."""

    places: Tensor  # [N, 2] x and y, in pixels
    inverse: Tensor  # [N, 3] xx, xy, yy of the inverse covariance
    reach: Tensor  # [N, 2] how far they are seen along x and y
    opacities: Tensor  # [N]
    depths: Tensor  # [N]
    numbers: Tensor  # [N], of the Gaussians that they are of


def project(
    gaussians: Gaussians, camera: ViewCamera, width: int, height: int, scale: float, power: float
) -> Projected:
    """What a camera sees of Gaussians, whose deviations are multiplied by a scale.

    `power` is that of the squared distance in the fall of opacity: 1 for a Gaussian.
    """
    device = gaussians.positions.device
    axes, place = camera.axes.to(device), camera.place.to(device)
    seen = (gaussians.positions - place) @ axes.T
    focal = camera.pixels(height)
    near = _NEAREST * camera.distance
    x, y, z = seen.unbind(-1)
    depth = torch.ones_like(z) if camera.is_flat else z.clamp(min=near)
    places = torch.stack((x, y), dim=-1) / depth[:, None] * focal
    places = places + places.new_tensor([width / 2, height / 2])
    own = axes @ rotation_matrices(gaussians.rotations) * (gaussians.scales * scale)[:, None]
    spread = own[:, :2] * (focal / depth)[:, None, None]  # n 2 3
    if not camera.is_flat:
        bound = _BESIDE / 2 / focal * places.new_tensor([width, height])
        aside = (seen[:, :2] / depth[:, None]).clamp(-bound, bound)
        spread = spread - aside[..., None] * own[:, 2:] * (focal / depth)[:, None, None]
    xx, xy, yy = ((spread[:, i] * spread[:, j]).sum(dim=-1) for i, j in ((0, 0), (0, 1), (1, 1)))
    xx, yy = xx + _LOW_PASS, yy + _LOW_PASS
    determinant = xx * yy - xy * xy
    inverse = torch.stack((yy, -xy, xx), dim=-1) / determinant[:, None]
    limit = (2 * (gaussians.opacities / _LEAST).clamp(min=1).log()) ** (1 / power)
    reach = (limit[:, None] * torch.stack((xx, yy), dim=-1)).sqrt()
    size = places.new_tensor([width, height])
    inside = ((places + reach > 0) & (places - reach < size)).all(dim=-1)
    drawn = inside & (z > near) & (gaussians.opacities > _LEAST) & (determinant > 0)
    numbers = drawn.nonzero()[:, 0]
    numbers = numbers[z[numbers].argsort(stable=True)]
    return Projected(
        places=places[numbers],
        inverse=inverse[numbers],
        reach=reach[numbers],
        opacities=gaussians.opacities[numbers],
        depths=z[numbers],
        numbers=numbers,
    )


def composite(
    ellipses: Projected, values: Tensor, width: int, height: int, power: float
) -> tuple[Tensor, Tensor]:
    """Values [N, C] of ellipses seen in a picture [H, W, C], times how opaque it is [H, W].

    `power` is as in `project`.
    """
    side = _tile_side(ellipses)
    columns, rows = -(-width // side), -(-height // side)
    device, channels = values.device, values.shape[1]
    total = torch.zeros(rows * columns, side * side, channels, device=device)
    through = torch.ones(rows * columns, side * side, device=device)
    for owners, starts, counts in _lists(ellipses, rows, columns, side):
        busy = counts.argsort(descending=True)
        busy = busy[: int((counts > 0).sum())]
        for group in busy.split(max(1, _NUMBERS.get(device.type, _MANY) // (_AT_ONCE * side**2))):  # type: ignore[no-untyped-call]
            done, tiles = 0, group
            while len(tiles):
                step = torch.arange(done, done + _AT_ONCE, device=device)
                listed = step < counts[tiles, None]
                chosen = owners[(starts[tiles, None] + step).clamp(max=len(owners) - 1)]
                opacity = _opacity(ellipses, chosen, listed, tiles, columns, side, power)
                passed = torch.cumprod(1 - opacity, dim=-1)
                before = torch.cat((torch.ones_like(passed[..., :1]), passed[..., :-1]), dim=-1)
                weights = opacity * before * through[tiles][..., None]
                total[tiles] += weights @ values[chosen]
                through[tiles] *= passed[..., -1]
                done += _AT_ONCE
                tiles = tiles[(counts[tiles] > done) & (through[tiles].amax(dim=1) > _OPAQUE)]
    picture = total.reshape(rows, columns, side, side, channels).transpose(1, 2)
    picture = picture.reshape(rows * side, columns * side, channels)[:height, :width]
    opaque = 1 - through.reshape(rows, columns, side, side).transpose(1, 2)
    return picture, opaque.reshape(rows * side, columns * side)[:height, :width]


def _tile_side(ellipses: Projected) -> int:
    if not len(ellipses.reach):
        return _TILE
    return _SMALL_TILE if float(ellipses.reach.median()) < _SMALL else _TILE


def _lists(
    ellipses: Projected, rows: int, columns: int, side: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The ellipses of each tile, nearest first: all lists in one, and start and length of each.

    In bands of the picture, so that no list takes too much memory.
    """
    low = ((ellipses.places - ellipses.reach) / side).floor().long()
    high = ((ellipses.places + ellipses.reach) / side).floor().long()
    left, right = low[:, 0].clamp(0, columns - 1), high[:, 0].clamp(0, columns - 1)
    top, bottom = low[:, 1].clamp(0, rows - 1), high[:, 1].clamp(0, rows - 1)
    wide = right - left + 1
    pairs = int((wide * (bottom - top + 1)).sum())
    bands = min(rows, max(1, -(-pairs // _MOST_PAIRS)))
    for band in range(bands):
        first, last = rows * band // bands, rows * (band + 1) // bands - 1
        upper, lower = top.clamp(min=first), bottom.clamp(max=last)
        counts = wide * (lower - upper + 1).clamp(min=0)
        owners = torch.repeat_interleave(counts)
        offset = torch.arange(len(owners), device=owners.device)
        offset -= (counts.cumsum(0) - counts)[owners]
        tiles = (upper[owners] + offset // wide[owners]) * columns
        tiles += left[owners] + offset % wide[owners]
        tiles, order = tiles.sort(stable=True)
        listed = torch.bincount(tiles, minlength=rows * columns)
        yield owners[order], listed.cumsum(0) - listed, listed


def _opacity(
    ellipses: Projected,
    chosen: Tensor,
    listed: Tensor,
    tiles: Tensor,
    columns: int,
    side: int,
    power: float,
) -> Tensor:
    """How opaque these ellipses [T, N] are in each pixel of tiles: [T, pixels, N]."""
    inside = torch.arange(side, device=tiles.device) + 0.5
    x = (tiles % columns * side)[:, None] + inside  # t x
    y = (tiles // columns * side)[:, None] + inside
    centre = ellipses.places[chosen]  # t n 2
    across = x[:, None, :, None] - centre[:, None, None, :, 0]  # t 1 x n
    down = y[:, :, None, None] - centre[:, None, None, :, 1]  # t y 1 n
    xx, xy, yy = ellipses.inverse[chosen][:, None, None].unbind(-1)  # t 1 1 n
    distance = (2 * xy * across) * down
    distance += xx * across.square()
    distance += yy * down.square()
    if power != 1:
        distance = distance.clamp_(min=0).pow_(power)
    opacity = distance.mul_(-0.5).clamp_(_FAINT, 0).exp_()
    opacity *= torch.where(listed, ellipses.opacities[chosen], 0)[:, None, None]
    opacity = torch.where(opacity < _LEAST, 0, opacity).clamp_(max=_MOST)
    return opacity.flatten(1, 2)
