"""Filters of pictures [B, H, W, C]: blurs, edges, morphology, colour spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput

_CANNY_SIDE = 3  # least one of what its blur can mirror


def keeping_alpha(filtered: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """The picture with its colours filtered and its alpha, if it has one, as it was."""
    if image.shape[-1] <= 3:
        return filtered(image)
    return torch.cat((filtered(image[..., :3]), image[..., 3:]), dim=-1)


def blur(image: Tensor, radius: int, sigma: float) -> Tensor:
    """A gaussian of (2 radius + 1)^2 weights; `sigma` counts radii. Edges are mirrored."""
    if radius == 0:
        return image
    places = torch.linspace(-1, 1, 2 * radius + 1, device=image.device)
    weights = torch.exp(-places.square() / (2 * sigma**2))
    weights = (weights / weights.sum()).to(image.dtype)
    for axis in (1, 2):
        image = _convolve(image, weights, axis)
    return image


def _convolve(image: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Along one axis, mirrored at its ends without repeating these, as often as it takes."""
    size, radius = image.shape[axis], weights.shape[0] // 2
    period = max(1, 2 * (size - 1))
    places = torch.arange(-radius, size + radius, device=image.device) % period
    mirrored = image.index_select(axis, torch.minimum(places, period - places).clamp(max=size - 1))
    rows = mirrored.movedim(axis, -1)
    convolved = functional.conv1d(rows.reshape(-1, 1, rows.shape[-1]), weights.expand(1, 1, -1))
    return convolved.reshape(*rows.shape[:-1], size).movedim(-1, axis)


def sharpen(image: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """Unsharp masking: what a blur takes away is added `10 alpha` times; clamped to 0..1."""
    if radius == 0:
        return image
    return (image + 10 * alpha * (image - blur(image, radius, sigma))).clamp(0, 1)


def canny(image: Tensor, low: float, high: float) -> Tensor:
    """J. Canny, "A computational approach to edge detection", 1986: [B, H, W], 1 on edges.

    Raises InvalidInput for a lower threshold above the other one.
    """
    from kornia.filters import canny as detect

    if low > high:
        raise InvalidInput(f"the low threshold, {low:g}, is above the high one, {high:g}")
    height, width = image.shape[1:3]
    channels = image[..., :3].movedim(-1, 1)
    missing = [max(0, _CANNY_SIDE - side) for side in (width, height)]
    padded = functional.pad(channels, (0, missing[0], 0, missing[1]), mode="replicate")
    _, edges = detect(padded, low, high)
    return edges[:, 0, :height, :width]


def _dilate(image: Tensor, size: int) -> Tensor:
    """The largest value under a box; one of an even size reaches further back than ahead."""
    before, after = size // 2, size - size // 2 - 1
    channels = image.movedim(-1, 1)
    for borders, window in (((before, after, 0, 0), (1, size)), ((0, 0, before, after), (size, 1))):
        padded = functional.pad(channels, borders, value=-torch.inf)
        channels = functional.max_pool2d(padded, window, stride=1)
    return channels.movedim(1, -1)


def _erode(image: Tensor, size: int) -> Tensor:
    return -_dilate(-image, size)


def _open(image: Tensor, size: int) -> Tensor:
    return _dilate(_erode(image, size), size)


def _close(image: Tensor, size: int) -> Tensor:
    return _erode(_dilate(image, size), size)


MORPHOLOGY: Final[Mapping[str, Callable[[Tensor, int], Tensor]]] = {
    "erode": _erode,
    "dilate": _dilate,
    "open": _open,
    "close": _close,
    "gradient": lambda image, size: _dilate(image, size) - _erode(image, size),
    "bottom_hat": lambda image, size: _close(image, size) - image,
    "top_hat": lambda image, size: image - _open(image, size),
}


def rgb_to_yuv(image: Tensor) -> Tensor:
    """[B, H, W, 3]: Y, Cb, Cr of BT.601 in 0..1, where 0.5 is no colour."""
    from kornia.color import rgb_to_ycbcr

    return rgb_to_ycbcr(image[..., :3].movedim(-1, 1)).movedim(1, -1)


def yuv_to_rgb(image: Tensor) -> Tensor:
    """The inverse of `rgb_to_yuv`, clamped to 0..1."""
    from kornia.color import ycbcr_to_rgb

    return ycbcr_to_rgb(image.movedim(-1, 1)).movedim(1, -1)
