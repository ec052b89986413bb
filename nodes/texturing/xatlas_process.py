"""A program of its own that makes atlases with xatlas, which lets nothing else run meanwhile.

`unwrapping.py` calls it with the path of an .npz to read and of one to write. It imports nothing of
this package, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import xatlas
from numpy.typing import NDArray

_PR_SET_PDEATHSIG = 1
_TRIES = 4  # of packing
_FIRST_SHARE = 0.75  # of the side that is asked for: what xatlas makes of it is larger
_ROOM = 0.98
_LARGEST = 2048  # side in which charts are placed: xatlas looks at each texel


def main() -> None:
    """Make the atlas of what was sent."""
    with contextlib.suppress(AttributeError, OSError):  # Linux: end with the program that waits
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    question, answer = map(Path, sys.argv[1:])
    sent = np.load(question)
    resolution, padding = _bounded(int(sent["resolution"]), int(sent["padding"]))
    faces = sent["faces"].astype(np.uint32)
    if "uvs" in sent:
        made = packed(sent["uvs"], faces, resolution, padding)
    else:
        made = cut(sent["vertices"], faces, resolution, padding)
    whole = answer.with_suffix(".part.npz")
    np.savez(whole, allow_pickle=False, **made)
    whole.rename(answer)


def _bounded(resolution: int, padding: int) -> tuple[int, int]:
    """A side that packing takes no minutes for, and a padding that is no smaller in the picture."""
    if resolution <= _LARGEST:
        return resolution, padding
    return _LARGEST, -(-padding * _LARGEST // resolution)


def packed(
    uvs: NDArray[np.float32], faces: NDArray[np.uint32], resolution: int, padding: int
) -> dict[str, NDArray[Any]]:
    """Charts that lie flat, in places of the atlas; the result is that of `_result`.

    xatlas takes the side of the atlas for a wish, so that it is asked until it fits.
    """
    asked = resolution * _FIRST_SHARE
    for _ in range(_TRIES):
        atlas = xatlas.Atlas()
        atlas.add_uv_mesh(uvs, faces)
        atlas.generate(xatlas.ChartOptions(), _packing(round(asked), padding))
        side = max(atlas.width, atlas.height)
        if side <= resolution or not resolution:
            break
        asked = max(asked * _ROOM * resolution / side, 1)  # 0 would leave it to xatlas
    return _result(atlas)


def cut(
    vertices: NDArray[np.float32], faces: NDArray[np.uint32], resolution: int, padding: int
) -> dict[str, NDArray[Any]]:
    """The atlas of a surface, which xatlas cuts into charts by itself."""
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices, faces)
    atlas.generate(xatlas.ChartOptions(), _packing(round(resolution * _FIRST_SHARE), padding))
    return _result(atlas)


def _packing(resolution: int, padding: int) -> Any:
    options = xatlas.PackOptions()
    options.resolution = resolution
    options.padding = padding
    return options


def _result(atlas: Any) -> dict[str, NDArray[Any]]:
    """`vertices` [V], numbers of old ones; `faces` [M, 3], which name the new; `uvs` [V, 2]."""
    mapping, corners, uvs = atlas.get_mesh(0)
    scale = np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height, 1)
    return {
        "vertices": mapping.astype(np.int64),
        "faces": corners.astype(np.int64).reshape(-1, 3),
        "uvs": (uvs * scale).astype(np.float32),
    }


if __name__ == "__main__":
    main()
