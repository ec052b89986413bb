"""Surfaces made smoother."""

from __future__ import annotations

from typing import Final

import numpy as np

from nodes.geometry.arrays import Indices, Reals
from nodes.geometry.topology import edges_of

_INWARDS: Final = 0.5
_OUTWARDS: Final = -0.53  # a little more, so that the whole does not shrink


def taubin(vertices: Reals, faces: Indices, iterations: int) -> Reals:
    """Vertices moved to the middle of their neighbours, and back as far in the mean.

    G. Taubin, "A signal processing approach to fair surface design", 1995.
    """
    from scipy.sparse import coo_array  # takes long to import

    one, other = edges_of(faces).ends.T
    links = coo_array(
        (np.ones(2 * len(one)), (np.r_[one, other], np.r_[other, one])),
        shape=(len(vertices), len(vertices)),
    ).tocsr()
    counts = np.maximum(np.diff(links.indptr), 1)[:, None]
    moved = vertices
    for _ in range(iterations):
        for share in (_INWARDS, _OUTWARDS):
            moved = moved + share * ((links @ moved) / counts - moved)
    return moved
