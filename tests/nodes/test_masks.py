"""What recorded cases leave open about masks; and SciPy agrees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from nodes.masks import (
    GrowMask,
    ImageColorToMask,
    ImageCompositeMasked,
    ImageToMask,
    LatentCompositeMasked,
    MaskComposite,
    MaskToImage,
)
from nodes.tensors.masks import feather, grow


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("tapered", [True, False])
@pytest.mark.parametrize("steps", [3, -3])
def test_masks_grow_as_scipy_dilates_and_erodes(steps: int, tapered: bool) -> None:
    mask = _random(2, 11, 13)
    (grown,) = GrowMask().run(mask, steps, tapered)
    footprint = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) if tapered else np.ones((3, 3))
    change = ndimage.grey_dilation if steps > 0 else ndimage.grey_erosion
    for before, after in zip(mask.numpy(), grown, strict=True):
        expected = before
        for _ in range(abs(steps)):
            expected = change(expected, footprint=footprint)
        np.testing.assert_array_equal(after.numpy(), expected)


def test_a_mask_grows_no_further_than_everywhere() -> None:
    mask = torch.zeros(1, 4, 5)
    mask[0, 0, 0] = 0.7
    assert bool((grow(mask, 16384, tapered=True) == 0.7).all())


def test_growing_by_nothing_gives_the_mask() -> None:
    mask = _random(2, 1, 1)
    torch.testing.assert_close(grow(mask, 0, tapered=True), mask)


def test_a_mask_of_one_pixel_can_be_feathered() -> None:
    assert feather(torch.ones(1, 1), 3, 3, 3, 3).shape == (1, 1, 1)
    torch.testing.assert_close(feather(torch.ones(1, 1, 1), 0, 0, 0, 0), torch.ones(1, 1, 1))


def test_one_mask_is_combined_with_each_of_a_batch() -> None:
    lower, upper = _random(1, 4, 4), _random(3, 2, 2)
    (combined,) = MaskComposite().run(lower, upper, 1, 1, "multiply")
    assert combined.shape == (3, 4, 4)
    torch.testing.assert_close(combined[:, 1:3, 1:3], lower[:, 1:3, 1:3] * upper)
    torch.testing.assert_close(combined[:, 0], lower[:, 0].expand(3, 4))


@pytest.mark.parametrize("place", [(4, 0), (0, 9), (99, 99)])
def test_a_mask_beyond_the_other_changes_nothing(place: tuple[int, int]) -> None:
    lower = _random(1, 4, 4)
    (combined,) = MaskComposite().run(lower, torch.ones(1, 2, 2), *place, "add")
    torch.testing.assert_close(combined, lower)


def test_a_picture_without_alpha_is_opaque() -> None:
    (mask,) = ImageToMask().run(_random(2, 3, 4, 3), "alpha")
    torch.testing.assert_close(mask, torch.ones(2, 3, 4))


def test_a_colour_is_found_in_pictures_with_alpha() -> None:
    image = torch.tensor([[[[1.0, 0.5, 0.0, 0.3], [1.0, 0.0, 0.0, 1.0]]]])
    (mask,) = ImageColorToMask().run(image, 0xFF8000)
    assert mask.tolist() == [[[1.0, 0.0]]]


def test_the_channels_of_a_mask_as_picture_take_no_memory_of_their_own() -> None:
    (image,) = MaskToImage().run(_random(1, 4, 4))
    assert image.shape == (1, 4, 4, 3)
    assert image.untyped_storage().nbytes() == 4 * 4 * 4


def test_a_picture_is_laid_on_every_one_of_a_batch_through_a_mask_of_another_size() -> None:
    lower, upper = torch.zeros(3, 6, 6, 4), torch.ones(1, 4, 4, 3)
    mask = torch.zeros(1, 2, 2)
    mask[0, 0, 0] = 1
    (laid,) = ImageCompositeMasked().run(lower, upper, 4, 4, False, mask)
    assert laid[:, 4, 4].tolist() == [[1.0, 1.0, 1.0, 1.0]] * 3
    assert laid[:, :4].count_nonzero() == 0
    assert lower.count_nonzero() == 0


def test_what_is_laid_on_is_not_more_than_the_batch_below() -> None:
    lower, upper = torch.zeros(1, 2, 2, 3), torch.ones(3, 2, 2, 3)
    assert ImageCompositeMasked().run(lower, upper, 0, 0, False)[0].shape == (1, 2, 2, 3)


def test_a_place_before_the_picture_is_refused_by_name() -> None:
    lower = torch.zeros(1, 2, 2, 3)
    with pytest.raises(ValueError, match=r"not from \(-1, 0\)"):
        ImageCompositeMasked().run(lower, lower, -1, 0, False)


def test_latents_keep_what_else_they_have() -> None:
    lower = {"samples": torch.zeros(1, 4, 4, 4), "batch_index": [7]}
    upper = {"samples": torch.ones(1, 4, 2, 2)}
    (laid,) = LatentCompositeMasked().run(lower, upper, 16, 16, False)
    assert laid["batch_index"] == [7]
    assert laid["samples"].sum() == 16
