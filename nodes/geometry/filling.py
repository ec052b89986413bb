"""Which corners of a grid lie inside of a shell, though it may have gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nodes.geometry.arrays import Flags, Indices, Step
from nodes.geometry.distance_fields import DistanceField

_COARSE: Final = 160  # blocks along a side at most, for which distances are cheap
_SLICES: Final = 32
_OUTSIDE, _SHELL, _INSIDE, _OPEN = 0, 1, 2, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """The corners of a field that are inside, and those beside where gaps were closed."""

    inside: Flags  # [K] of the field
    walls: Indices  # keys of corners that are not in the shell, beside one on the other side
    walls_inside: Flags  # which of these are inside


def fill(near: DistanceField, shell: Flags, gap: float, step: Step) -> Filled:
    """Fill what a ball with the diameter `gap`, in cells, cannot get into from outside.

    Where such a ball has room on the other side of the shell is inside; what is between goes to
    the side that is nearer without a way through the shell. A shell without gaps is filled whatever
    the ball, and with `gap` 0 no other is. Balls are measured in blocks of some cells.
    """
    block = int(np.ceil((max(near.sizes) + gap) / _COARSE))
    sides = _Sides.of(near, near.keys[shell], gap, block)
    while sides.grow():
        step(0.5)
    return sides.filled(near)


@dataclass(kw_only=True, slots=True)
class _Sides:
    state: NDArray[np.uint8]  # [X, Y, Z] of corners, to whole blocks
    outside: Indices  # numbers of the corners that were reached last
    inside: Indices
    before: int  # how many corners lie before those of the field, along each axis

    @classmethod
    def of(cls, near: DistanceField, shell: Indices, gap: float, block: int) -> _Sides:
        """The shell, and what is for certain: where balls have room."""
        from scipy.ndimage import distance_transform_edt, label  # take long to import

        radius = max(gap / 2 / block, 1.0)
        around = int(np.ceil(radius)) + 1  # blocks, so that a ball has room there
        blocks = tuple(-(-size // block) + 2 * around for size in near.sizes)
        places = np.stack(np.unravel_index(shell, near.sizes)) + around * block
        taken = np.zeros(blocks, np.bool_)
        taken[tuple(places // block)] = True
        room = distance_transform_edt(~taken) > radius
        parts, _ = label(room)
        outside = room & (parts == parts[0, 0, 0])
        inside = room & ~outside & (gap > 0)
        state = np.zeros(tuple(size * block for size in blocks), np.uint8)
        cells = state.reshape(blocks[0], block, blocks[1], block, blocks[2], block)
        cells = cells.transpose(0, 2, 4, 1, 3, 5)
        cells[~outside] = _OPEN
        cells[inside] = _INSIDE
        state[tuple(places)] = _SHELL
        return cls(
            state=state,
            outside=_border(outside, block, state),
            inside=_border(inside, block, state),
            before=around * block,
        )

    def grow(self) -> bool:
        """Go one corner further on both sides; whether there is more to do."""
        self.outside = self._reached(self.outside, _OUTSIDE)
        self.inside = self._reached(self.inside, _INSIDE)
        return bool(len(self.outside) or len(self.inside))

    def _reached(self, last: Indices, side: int) -> Indices:
        flat = self.state.reshape(-1)
        strides = (self.state.shape[1] * self.state.shape[2], self.state.shape[2], 1)
        found = [last + sign * stride for stride in strides for sign in (-1, 1)]
        found = [numbers[flat[numbers] == _OPEN] for numbers in found]
        reached = np.unique(np.concatenate(found))
        flat[reached] = side
        return reached

    def filled(self, near: DistanceField) -> Filled:
        """The sides of the corners of a field, and the walls."""
        x, y, z = (slice(self.before, self.before + size) for size in near.sizes)
        state = self.state[x, y, z]
        held = state[np.unravel_index(near.keys, near.sizes)]
        walls = [_walls(state, axis, near) for axis in range(3)]
        keys = np.setdiff1d(np.concatenate(walls), near.keys)
        inside = state[np.unravel_index(keys, near.sizes)] != _OUTSIDE
        return Filled(inside=held != _OUTSIDE, walls=keys, walls_inside=inside)


def _border(blocks: Flags, block: int, state: NDArray[np.uint8]) -> Indices:
    """The numbers of all corners in blocks that have others beside them."""
    from scipy.ndimage import binary_erosion  # takes long to import

    outermost = np.argwhere(blocks & ~binary_erosion(blocks, border_value=1))
    within = np.stack(np.unravel_index(np.arange(block**3), (block,) * 3), axis=1)
    corners = (outermost[:, None] * block + within).reshape(-1, 3)
    numbers: Indices = np.ravel_multi_index(tuple(corners.T), state.shape).astype(np.int64)
    return numbers


def _walls(state: NDArray[np.uint8], axis: int, near: DistanceField) -> Indices:
    """The keys of neighbours along an axis of which one is outside, the other inside."""
    stride = near.strides[axis]
    found = [np.empty(0, np.int64)]
    for start in range(0, near.sizes[0], _SLICES):  # so that it takes little memory
        end = start + _SLICES + (axis == 0)
        slab = state[start:end]
        one = np.take(slab, range(slab.shape[axis] - 1), axis)
        other = np.take(slab, range(1, slab.shape[axis]), axis)
        wall = ((one == _OUTSIDE) != (other == _OUTSIDE)) & (one != _SHELL) & (other != _SHELL)
        x, y, z = np.nonzero(wall)
        keys = ((x + start) * near.sizes[1] + y) * near.sizes[2] + z
        found += [keys, keys + stride]
    return np.concatenate(found)
