"""Which face of a surface each texel of its atlas shows, and which place on that face.

UVs are glTF's: texel (row, column) of a picture of `size` has its centre at
u = (column + 0.5) / size, v = (row + 0.5) / size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nodes.geometry.arrays import Flags, Indices, Reals, ragged

NO_FACE: Final = -1
MARGIN: Final = 2  # texels around charts that show the place nearest on them: linear filters read 1
_MOST_SPANS: Final = 1 << 20  # rows of triangles that are drawn at once
_MOST_TEXELS: Final = 1 << 22  # texels that are drawn at once, but for the last row


def face_map(uvs: Reals, faces: Indices, size: int) -> NDArray[np.int32]:
    """The face [size, size] whose triangle in the atlas has the centre of a texel inside, or -1.

    Where triangles overlap the last one is seen; what is outside of 0..1 is cut off.
    """
    shown = np.full(size * size, NO_FACE, np.int32)
    for drawn, texels in covered(uvs, faces, size):
        shown[texels] = drawn
    return shown.reshape(size, size)


def covered(uvs: Reals, faces: Indices, size: int) -> Iterator[tuple[Indices, Indices]]:
    """Faces and the flat indices of texels whose centres they have inside, pair by pair."""
    corners = uvs[faces] * size - 0.5  # centres are at integers
    corners[~np.isfinite(corners).all(axis=(1, 2))] = -1  # outside of the picture
    low, high = corners[..., 1].min(axis=1), corners[..., 1].max(axis=1)
    first = np.ceil(np.clip(low, 0, size)).astype(np.int64)
    last = np.floor(np.clip(high, -1, size - 1)).astype(np.int64)
    rows = np.maximum(last - first + 1, 0)
    for start, end in _pieces(rows, _MOST_SPANS):
        triangles, lines = ragged(first[start:end], rows[start:end])
        owners = triangles + start
        left, right = _spans(corners[owners], lines)
        begins = np.ceil(np.clip(left, 0, size)).astype(np.int64)
        lengths = np.floor(np.clip(right, -1, size - 1)).astype(np.int64) - begins + 1
        lengths = np.maximum(lengths, 0)
        for a, b in _pieces(lengths, _MOST_TEXELS):
            spans, columns = ragged(begins[a:b], lengths[a:b])
            yield owners[a:b][spans], lines[a:b][spans] * size + columns


def _pieces(counts: Indices, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of entries whose counts sum to about `most`, at least one entry each."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        end = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield start, end
        start = end


def _spans(corners: Reals, lines: Indices) -> tuple[Reals, Reals]:
    """Where horizontal lines enter and leave triangles [N, 3, 2]."""
    left = np.full(len(lines), np.inf)
    right = np.full(len(lines), -np.inf)
    for i in range(3):
        (x0, y0), (x1, y1) = corners[:, i].T, corners[:, (i + 1) % 3].T
        crosses = (np.minimum(y0, y1) <= lines) & (lines <= np.maximum(y0, y1))
        flat = y0 == y1
        share = np.where(flat, 0, (lines - y0) / np.where(flat, 1, y1 - y0))
        cut = x0 + np.clip(share, 0, 1) * (x1 - x0)
        ends = np.where(flat, x1, cut)
        left = np.where(crosses, np.minimum(left, np.minimum(cut, ends)), left)
        right = np.where(crosses, np.maximum(right, np.maximum(cut, ends)), right)
    return left, right


def with_margin(shown: NDArray[np.int32], margin: int = MARGIN) -> NDArray[np.int32]:
    """The map with texels around charts, which have the nearest face: so that no seam is seen."""
    known = shown != NO_FACE
    if known.all() or not known.any():
        return shown
    from scipy import ndimage  # takes long to import

    around = ndimage.binary_dilation(known, np.ones((3, 3), bool), iterations=margin) & ~known
    distances_to = nearest_texels(known)
    wide = shown.copy()
    wide[around] = shown.reshape(-1)[distances_to[around]]
    return wide


def nearest_texels(known: Flags) -> Indices:
    """For each texel the flat index of the nearest one that is known; one must be."""
    from scipy import ndimage

    rows, columns = ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    nearest: Indices = rows * known.shape[1]
    nearest += columns
    return nearest


def fill_gaps(picture: NDArray[np.float32], known: Flags) -> None:
    """Give texels [H, W, C] that are not known what the nearest known one has, in place."""
    if known.all() or not known.any():
        return
    flat = picture.reshape(-1, picture.shape[-1])
    gaps = np.flatnonzero(~known)
    flat[gaps] = flat[nearest_texels(known).reshape(-1)[gaps]]


@dataclass(frozen=True, kw_only=True)
class Texels:
    """Some texels of a picture, and where on the surface they are."""

    places: Indices  # [T] flat indices into the picture
    faces: Indices  # [T]
    weights: Reals  # [T, 3] of the corners of the face, which sum to 1

    def mix(self, values: Reals, faces: Indices) -> Reals:
        """Values of vertices [N, C] in between [T, C]; `faces` [M, 3] are those of the surface."""
        mixed: Reals = np.einsum("tk,tkc->tc", self.weights, values[faces[self.faces]])
        return mixed


def texels_of(shown: NDArray[np.int32], uvs: Reals, faces: Indices, count: int) -> Iterator[Texels]:
    """All texels that show a face, so many at once at most.

    Those in the margin have the place on the edge of their face that is about nearest.
    """
    size = shown.shape[0]
    flat = shown.reshape(-1)
    scaled = uvs * size - 0.5
    for start in range(0, len(flat), count):
        chosen = np.flatnonzero(flat[start : start + count] != NO_FACE) + start
        if not len(chosen):
            continue
        owners = flat[chosen].astype(np.int64)
        centres = np.stack([chosen % size, chosen // size], axis=1).astype(np.float64)
        weights = _barycentric(scaled[faces[owners]], centres)
        yield Texels(places=chosen, faces=owners, weights=weights)


def _barycentric(corners: Reals, points: Reals) -> Reals:
    """Weights [T, 3] of the corners [T, 3, 2] at points [T, 2], moved into the triangles."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    flat = np.abs(area) < 1e-12
    divisor = np.where(flat, 1, area)
    second = np.where(flat, 1 / 3, _cross(points - a, c - a) / divisor)
    third = np.where(flat, 1 / 3, _cross(b - a, points - a) / divisor)
    weights = np.clip(np.stack([1 - second - third, second, third], axis=1), 0, None)
    inside: Reals = weights / weights.sum(axis=1, keepdims=True)
    return inside


def _cross(a: Reals, b: Reals) -> Reals:
    crossed: Reals = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return crossed
