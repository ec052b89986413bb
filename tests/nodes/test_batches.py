"""What recorded cases leave open about batches and sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.batches import BatchLatentsNode, BatchMasksNode, RebatchImages, RebatchLatents
from nodes.compositing import JoinImageWithAlpha, PorterDuffImageComposite, SplitImageWithAlpha
from nodes.resizing import ResizeImageMaskNode, target


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_pictures_of_other_sizes_begin_a_batch() -> None:
    images = [_random(2, 4, 4, 3), _random(3, 5, 4, 3), _random(1, 4, 4, 3)]
    (batches,) = RebatchImages().run(images, [2])
    assert [tuple(batch.shape[:2]) for batch in batches] == [(2, 4), (2, 5), (1, 5), (1, 4)]


def test_masks_go_with_their_latents_and_the_others_get_ones() -> None:
    masked: dict[str, Any] = {"samples": _random(2, 4, 2, 2), "noise_mask": _random(1, 1, 16, 16)}
    plain: dict[str, Any] = {"samples": _random(1, 4, 2, 2)}
    small: dict[str, Any] = {"samples": _random(1, 4, 2, 2), "noise_mask": torch.zeros(1, 1, 8, 8)}
    (batches,) = RebatchLatents().run([masked, plain, small], [8])
    (batch,) = batches
    assert batch["batch_index"] == [0, 1, 2, 3]
    assert batch["noise_mask"].shape == (4, 1, 16, 16)
    torch.testing.assert_close(batch["noise_mask"][1], masked["noise_mask"][0])
    assert batch["noise_mask"][2].min() == 1
    assert batch["noise_mask"][3].max() == 0


def test_batches_without_masks_get_none() -> None:
    (batches,) = RebatchLatents().run([{"samples": _random(3, 4, 2, 2)}], [2])
    assert ["noise_mask" in batch for batch in batches] == [False, False]


def test_masks_of_other_sizes_get_those_of_the_first() -> None:
    (masks,) = BatchMasksNode().run({"mask0": _random(4, 6), "mask1": _random(2, 3, 3)})
    assert masks.shape == (3, 4, 6)


def test_three_latents_keep_their_places() -> None:
    latents = {f"latent{i}": {"samples": _random(i + 1, 4, 2, 2)} for i in range(3)}
    (joined,) = BatchLatentsNode().run(latents)
    assert joined["batch_index"] == [0, 0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ({"resize_type": "scale by multiplier", "multiplier": 0.5}, (10, 7)),
        ({"resize_type": "scale dimensions", "width": 0, "height": 0}, (20, 14)),
        ({"resize_type": "scale dimensions", "width": 7, "height": 0}, (7, 5)),
        ({"resize_type": "scale total pixels", "megapixels": 280 / 2**20}, (20, 14)),
        (
            {"resize_type": "scale total pixels", "megapixels": 280 / 2**20, "multiple": 8},
            (16, 16),
        ),
        ({"resize_type": "scale to multiple", "multiple": 8}, (16, 8)),
        ({"resize_type": "scale to multiple", "multiple": 64}, (64, 64)),
    ],
)
def test_the_ways_to_say_a_size(resize: dict[str, Any], expected: tuple[int, int]) -> None:
    assert target(20, 14, resize) == expected


def test_a_size_that_is_a_multiple_cuts_around_the_centre() -> None:
    image = torch.zeros(1, 8, 10, 3)
    image[:, :, 1:9] = 1
    choice = {"resize_type": "scale to multiple", "multiple": 8}
    (resized,) = ResizeImageMaskNode().run(image, choice, "area")
    torch.testing.assert_close(resized, torch.ones(1, 8, 8, 3))


def test_a_mask_stays_a_mask() -> None:
    choice = {"resize_type": "scale width", "width": 1}
    assert ResizeImageMaskNode().run(_random(2, 3, 9), choice, "area")[0].shape == (2, 1, 1)


def test_alpha_is_taken_off_and_put_on_again() -> None:
    image = _random(2, 3, 4, 4)
    colors, mask = SplitImageWithAlpha().run(image)
    torch.testing.assert_close(mask, 1 - image[..., 3])
    torch.testing.assert_close(JoinImageWithAlpha().run(colors, mask)[0], image)


def test_a_composite_has_the_sides_of_the_source_and_the_shortest_batch() -> None:
    color, mask = PorterDuffImageComposite().run(
        _random(2, 4, 6, 3), torch.zeros(3, 2, 2), _random(3, 8, 8, 3), torch.zeros(2, 9, 9), "SRC"
    )
    assert (color.shape, mask.shape) == ((2, 4, 6, 3), (2, 4, 6))
    torch.testing.assert_close(color, _random(2, 4, 6, 3))
    torch.testing.assert_close(mask, torch.zeros(2, 4, 6))


def test_what_is_transparent_has_no_colour() -> None:
    opaque, transparent = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    source = _random(1, 2, 2, 3)
    color, mask = PorterDuffImageComposite().run(source, transparent, source, opaque, "SRC")
    assert color.count_nonzero() == 0
    torch.testing.assert_close(mask, transparent)
