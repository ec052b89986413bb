"""Pictures (IMAGE: float32 [B, H, W, C] in 0..1) joined, padded and brought to sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from models.math import resize
from nodes.tensors.batches import fit

METHODS: Final = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]

_GREY = 0.5  # what is to be painted


def scaled(image: Tensor, width: int, height: int, method: str, *, crop: bool = False) -> Tensor:
    """[B, H, W, C] to other sides, of which none gets shorter than 1."""
    channels_first = image.movedim(-1, 1)
    sides = (max(1, width), max(1, height))
    return resize(channels_first, *sides, method, crop=crop).movedim(1, -1)


def with_channels(image: Tensor, count: int) -> Tensor:
    """The picture with ones as further channels: opaque."""
    return functional.pad(image, (0, count - image.shape[-1]), value=1.0)


def in_color(image: Tensor) -> Tensor:
    """The picture [..., C] with three channels where it has one."""
    return image.expand(*image.shape[:-1], 3) if image.shape[-1] == 1 else image


def batch(images: Sequence[Tensor]) -> Tensor:
    """All pictures as one batch, with the sides of the first and the channels of the richest."""
    most = max(image.shape[-1] for image in images)
    first = images[0].movedim(-1, 1)
    fitted = [fit(image.movedim(-1, 1), first).movedim(1, -1) for image in images]
    return torch.cat([with_channels(image, most) for image in fitted])


def pad_for_outpaint(
    image: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[Tensor, Tensor]:
    """([B, H', W', C], [1, H', W']): grey borders, and a mask that is 1 on them.

    Inside, near a border, the mask falls with the square of the distance, over `feathering` pixels,
    where these are less than half of both sides.
    """
    count, height, width, channels = image.shape
    new_height, new_width = top + height + bottom, left + width + right
    padded = image.new_full((count, new_height, new_width, channels), _GREY)
    inside = (slice(top, top + height), slice(left, left + width))
    padded[:, *inside] = image
    mask = torch.ones(1, new_height, new_width)
    mask[:, *inside] = 0
    if feathering > 0 and feathering * 2 < min(height, width):
        rows = _distance(height, before=top > 0, after=bottom > 0)
        columns = _distance(width, before=left > 0, after=right > 0)
        distance = torch.minimum(rows[:, None], columns)
        mask[:, *inside] = ((feathering - distance) / feathering).clamp(min=0).square()
    return padded, mask


def _distance(size: int, *, before: bool, after: bool) -> Tensor:
    """How far each row is from those ends that have a border."""
    places = torch.arange(size)
    distance = torch.full((size,), torch.inf)
    if before:
        distance = torch.minimum(distance, places)
    return torch.minimum(distance, size - places) if after else distance


def scale_and_pad(image: Tensor, width: int, height: int, value: float, method: str) -> Tensor:
    """The whole picture inside of width x height, around it `value`."""
    scale = min(width / image.shape[2], height / image.shape[1])
    sides = (max(1, int(image.shape[2] * scale)), max(1, int(image.shape[1] * scale)))
    return _pad_around(scaled(image, *sides, method), width, height, value)


def _pad_around(image: Tensor, width: int, height: int, value: float) -> Tensor:
    x, y = (width - image.shape[2]) // 2, (height - image.shape[1]) // 2
    borders = (0, 0, x, width - image.shape[2] - x, y, height - image.shape[1] - y)
    return functional.pad(image, borders, value=value)


def stitch(
    first: Tensor,
    second: Tensor,
    direction: str,
    *,
    match_size: bool,
    spacing: int,
    color: Sequence[float],
) -> Tensor:
    """Two pictures beside each other; `direction` is where the second goes.

    The second is scaled to the side that they share, or else the smaller one is padded with zeros:
    with black, which is transparent where that picture has alpha.
    Between them are `spacing` pixels of an RGB color. A shorter batch repeats its last picture.
    """
    is_row = direction in ("left", "right")
    if match_size:
        ratio = second.shape[2] / second.shape[1]
        height, width = first.shape[1:3]
        sides = (int(height * ratio), height) if is_row else (width, int(width / ratio))
        second = scaled(second, *sides, "lanczos")
    count = max(first.shape[0], second.shape[0])
    channels = max(first.shape[-1], second.shape[-1])
    shared = max(image.shape[1 if is_row else 2] for image in (first, second))
    pair = []
    for image in (first, second):
        sides = (image.shape[2], shared) if is_row else (shared, image.shape[1])
        padded = _pad_around(_lengthened(image, count), *sides, 0.0)
        pair.append(with_channels(padded, channels))
    if direction in ("left", "up"):
        pair.reverse()
    if spacing > 0:
        shape = (count, shared, spacing) if is_row else (count, spacing, shared)
        opaque = torch.tensor([*color, 1.0])[:channels].to(first)
        pair.insert(1, opaque.expand(*shape, channels))
    return torch.cat(pair, dim=2 if is_row else 1)


def _lengthened(image: Tensor, count: int) -> Tensor:
    missing = count - image.shape[0]
    return torch.cat((image, image[-1:].expand(missing, -1, -1, -1))) if missing else image


def add_noise(image: Tensor, seed: int, strength: float) -> Tensor:
    """Gaussian noise, drawn on the CPU with a generator of that seed; clamped to 0..1."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(image.shape, generator=generator).to(image)
    return noise.mul_(strength).add_(image).clamp_(0, 1)
