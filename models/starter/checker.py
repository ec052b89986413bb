"""Looks at a picture's pixels alone and says which figure it shows, in which colour, on what."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from models.starter import palette
from models.starter.shapes import SHAPES, SIZE, figure_mask

TEMPLATE = 32  # side of the shape templates
CONTRAST = 11.0  # CIELAB distance from the ground at which a pixel belongs to a figure
TILTS = (-0.12, -0.06, 0.0, 0.06, 0.12)

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sight:
    """What the checker sees in a picture."""

    shape: str  # of the largest figure; empty when there is none
    color: str  # of the largest figure; empty when there is none
    ground: str  # the nearest ground colour, or "night" or "sunset"
    count: int  # figures at least a third as large as the largest
    likeness: float  # 0..1, how well the largest figure fits its shape


def to_lab(rgb: npt.ArrayLike) -> Floats:
    """sRGB 0..255 to CIELAB (D65); the last axis holds the channels."""
    value = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _row_grounds(lab: Floats) -> Floats:
    """Colours at the left and right edge of each row and its neighbours, h k 3."""
    edge = np.concatenate([lab[:, :3], lab[:, -3:]], axis=1)
    above, below = np.roll(edge, 1, axis=0), np.roll(edge, -1, axis=0)
    above[0], below[-1] = edge[0], edge[-1]
    return np.concatenate([edge, above, below], axis=1)


def figure_pixels(picture: npt.NDArray[np.uint8]) -> Mask:
    """Pixels (h w) that stand off the ground; grounds vary from row to row, not along one.

    A shadow (darker than the ground, of its hue) is ground too.
    """
    lab = to_lab(picture)
    grounds = _row_grounds(lab)
    offset = lab[:, :, None, :] - grounds[:, None, :, :]  # h w k 3
    # Shade lowers lightness and with it chroma; let it lower both for free, within bounds.
    shade = np.clip(-offset[..., 0], 0, 16)
    faded = 1 - shade / np.maximum(grounds[:, None, :, 0], 30)
    chroma = lab[:, :, None, 1:] - grounds[:, None, :, 1:] * faded[..., None]
    lightness = offset[..., 0] + shade
    distance = np.sqrt(lightness**2 + (chroma**2).sum(axis=-1)).min(axis=-1)
    mask: Mask = distance > CONTRAST
    return mask


def _figures(mask: Mask) -> list[Mask]:
    """Filled connected regions, largest first; specks (stars, dots) are left out."""
    opened = ndimage.binary_opening(ndimage.binary_closing(np.pad(mask, 2), iterations=1))[
        2:-2, 2:-2
    ]
    labels, count = ndimage.label(opened)
    regions = [ndimage.binary_fill_holes(labels == number) for number in range(1, count + 1)]
    regions = [region for region in regions if region.sum() >= 120]
    regions.sort(key=lambda region: int(region.sum()), reverse=True)
    return [region for region in regions if 3 * region.sum() >= regions[0].sum()]


def _framed(mask: Mask) -> tuple[Floats, float]:
    """The mask stretched from its bounding box to a square, and the box's height over its width."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    image = Image.fromarray(mask.astype(np.uint8) * 255).crop(box)
    stretched = image.resize((TEMPLATE, TEMPLATE), Image.Resampling.BOX)
    return np.asarray(stretched, dtype=np.float64) / 255, (box[3] - box[1]) / (box[2] - box[0])


@functools.cache
def _templates() -> list[tuple[str, Floats, float]]:
    centre = (SIZE / 2, SIZE / 2)
    found = []
    for shape in SHAPES:
        for tilt in TILTS:
            mask = np.asarray(figure_mask(shape, centre, 40.0, tilt)) > 127
            found.append((shape, *_framed(mask)))
    return found


def _shape_of(mask: Mask) -> tuple[str, float]:
    """The most alike shape, and how alike it is (intersection over union, less if squeezed)."""
    seen, aspect = _framed(mask)
    best = ("", 0.0)
    for shape, template, expected in _templates():
        overlap = np.minimum(seen, template).sum() / np.maximum(seen, template).sum()
        likeness = overlap * (1 - 0.5 * abs(np.log(aspect / expected)))
        if likeness > best[1]:
            best = (shape, float(likeness))
    return best


def _nearest(lab: Floats, colors: dict[str, palette.Color]) -> npt.NDArray[np.int64]:
    table = to_lab([color.rgb for color in colors.values()])
    distance = np.linalg.norm(lab[..., None, :] - table, axis=-1)
    nearest: npt.NDArray[np.int64] = distance.argmin(axis=-1)
    return nearest


def _color_of(lab: Floats, mask: Mask) -> str:
    """The figure colour most of its inner pixels are nearest to; ink of outlines is left out."""
    inner = ndimage.binary_erosion(mask, iterations=2)
    pixels = lab[inner if inner.any() else mask]
    bright = pixels[pixels[:, 0] > 33] if (pixels[:, 0] > 33).any() else pixels
    votes = np.bincount(_nearest(bright, palette.FIGURE_COLORS), minlength=1)
    return tuple(palette.FIGURE_COLORS)[int(votes.argmax())]


def _ground_of(lab: Floats, mask: Mask) -> str:
    outside = ~ndimage.binary_dilation(mask, iterations=8)
    if outside.sum() < 200:
        outside = ~mask
    third = SIZE // 3
    top, bottom = lab[:third][outside[:third]], lab[-third:][outside[-third:]]
    if len(top) and len(bottom):
        upper, lower = np.median(top, axis=0), np.median(bottom, axis=0)
        if lower[2] - upper[2] > 25 and lower[0] > upper[0]:
            return "sunset"
    middle = np.median(lab[outside], axis=0)
    if middle[0] < 33 and middle[2] < -14:
        return "night"
    return tuple(palette.GROUND_COLORS)[int(_nearest(middle, palette.GROUND_COLORS))]


def look(picture: npt.NDArray[np.uint8]) -> Sight:
    """What a picture (uint8 h w 3) shows, by its pixels alone."""
    lab = to_lab(picture)
    mask = figure_pixels(picture)
    figures = _figures(mask)
    ground = _ground_of(lab, mask)
    if not figures:
        return Sight(shape="", color="", ground=ground, count=0, likeness=0.0)
    shape, likeness = _shape_of(figures[0])
    color = _color_of(lab, figures[0])
    return Sight(shape=shape, color=color, ground=ground, count=len(figures), likeness=likeness)
