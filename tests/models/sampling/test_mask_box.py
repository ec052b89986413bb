"""The box around a mask that a prompt is limited to."""

from __future__ import annotations

import torch

from models.sampling.conditioning import mask_box
from models.sampling.window import Window


def box(top: int, bottom: int, left: int, right: int, side: int = 20) -> Window | None:
    """Of a mask that is filled between two rows and two columns, cut to the latent."""
    mask = torch.zeros(1, 1, side, side)
    mask[..., top:bottom, left:right] = 0.5
    return mask_box(mask).cut((side, side))


def test_it_is_as_large_as_the_mask_and_at_least_eight_a_side() -> None:
    assert box(2, 14, 3, 6) == Window((12, 8), (2, 3))


def test_at_the_edge_it_is_cut_and_not_moved() -> None:
    assert box(15, 18, 0, 20) == Window((5, 20), (15, 0))


def test_an_empty_mask_has_a_box_in_the_corner() -> None:
    assert box(0, 0, 0, 0) == Window((8, 8), (0, 0))
