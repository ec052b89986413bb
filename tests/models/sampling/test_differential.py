"""Masks that open in the course of a run."""

from __future__ import annotations

import torch

from models.sampling.differential import differential_mask

MASK = torch.tensor([[0.0, 0.4, 0.8, 1.0]])


def test_a_place_is_painted_once_its_value_is_reached() -> None:
    painted = [differential_mask(MASK, left, 1.0)[0].tolist() for left in (1.0, 0.5, 0.0)]
    assert painted == [[0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]


def test_less_strength_mixes_the_soft_mask_in() -> None:
    assert torch.allclose(differential_mask(MASK, 0.5, 0.25), torch.tensor([[0.0, 0.3, 0.85, 1.0]]))
