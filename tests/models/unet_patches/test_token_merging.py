"""Which tokens are merged, and what becomes of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.unet_patches.token_merging import Merging, TokenMerging, match


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


def test_merged_tokens_are_the_mean_and_copies_come_back() -> None:
    merging = Merging(
        sources=torch.tensor([[1, 3]]), targets=torch.tensor([[0, 0]]), kept=torch.tensor([[0, 2]])
    )
    tokens = torch.tensor([[[1.0], [2.0], [10.0], [6.0]]])
    merged = merging.merge(tokens)
    assert merged.flatten().tolist() == [3.0, 10.0]
    assert merging.unmerge(merged).flatten().tolist() == [3.0, 3.0, 10.0, 3.0]


@pytest.mark.parametrize(("ratio", "gone"), [(0.0, 0), (0.3, 19), (0.5, 32), (1.0, 48)])
def test_so_many_tokens_vanish_and_never_a_destination(ratio: float, gone: int) -> None:
    merging = match(normal(2, 64, 5), 8, 8, ratio, generator())
    assert merging.sources.shape == (2, gone)
    assert merging.kept.shape == (2, 64 - gone)
    for item in range(2):
        kept = set(merging.kept[item].tolist())
        assert set(merging.targets[item].tolist()) <= kept
        assert sorted(kept | set(merging.sources[item].tolist())) == list(range(64))


def test_the_most_alike_are_merged_into_their_nearest() -> None:
    tokens = normal(1, 64, 5)
    merging = match(tokens, 8, 8, 0.25, generator())
    unit = tokens[0] / tokens[0].norm(dim=-1, keepdim=True)
    # All destinations: what is left when everything that can be merged is.
    destinations = match(tokens, 8, 8, 1.0, generator()).kept[0]
    others = [place for place in range(64) if place not in set(destinations.tolist())]
    best = {place: max(float(unit[place] @ unit[d]) for d in destinations) for place in others}
    expected = sorted(others, key=lambda place: -best[place])[:16]
    assert set(merging.sources[0].tolist()) == set(expected)
    for source, target in zip(
        merging.sources[0].tolist(), merging.targets[0].tolist(), strict=True
    ):
        assert float(unit[source] @ unit[target]) == pytest.approx(best[source], abs=1e-6)


def test_destinations_lie_one_in_each_square() -> None:
    places = match(normal(1, 48, 5), 6, 8, 1.0, generator()).kept[0].tolist()
    squares = {(place // 8 // 2, place % 8 // 2) for place in places}
    assert len(places) == len(squares) == 12


def test_sides_that_are_odd_keep_their_last_tokens_mergeable() -> None:
    merging = match(normal(1, 35, 5), 5, 7, 1.0, generator())
    assert merging.kept.shape == (1, 6)


def test_only_the_finest_level_is_merged_and_grows_back() -> None:
    patch = TokenMerging(0.5)
    patch.reset()
    told = {"original_shape": [1, 4, 8, 8]}
    coarse, fine = normal(1, 16, 5), normal(1, 64, 5)
    assert patch.shrink(coarse, coarse, coarse, told)[0] is coarse
    assert patch.grow(coarse, told) is coarse
    q, k, v = patch.shrink(fine, fine, fine, told)
    assert q.shape == (1, 32, 5) and k is fine and v is fine
    assert patch.grow(q, told).shape == fine.shape
