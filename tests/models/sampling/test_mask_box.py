"""Masks brought to latents, and the box around a mask that a prompt is limited to."""

from __future__ import annotations

import torch

from models.sampling.conditioning import mask_box
from models.sampling.mask import fit_mask
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


def test_a_mask_of_a_film_keeps_its_frames_apart() -> None:
    film = torch.zeros(4, 16, 3, 8, 6)
    mask = torch.ones(1, 1, 3, 8, 6)
    mask[:, :, 0] = 0
    fitted = fit_mask(mask, film)
    assert fitted.shape == (4, 1, 3, 8, 6)
    assert fitted[0, 0, :, 0, 0].tolist() == [0, 1, 1]
    larger = fit_mask(mask.repeat_interleave(2, -1).repeat_interleave(2, -2), film)
    assert torch.equal(larger, fitted)
    whole = fit_mask(torch.full((2, 1, 1, 1, 1), 0.5), film)
    assert whole.shape == (4, 1, 3, 8, 6) and whole.eq(0.5).all()
