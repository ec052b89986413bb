"""What recorded cases leave open about pictures: odd sizes, batches, alpha; and Pillow agrees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nodes.image_transforms import (
    FluxKontextImageScale,
    GetImageSize,
    ImageCrop,
    ImageFromBatch,
    ImageRotate,
    ImageScaleToMaxDimension,
    ImageScaleToTotalPixels,
    ImageStitch,
    ResizeAndPadImage,
)
from nodes.images import ImageBatch, ImagePadForOutpaint, ImageScale, ImageScaleBy


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_lanczos_is_pillows_picture_by_picture() -> None:
    images = _random(2, 9, 7, 3)
    (scaled,) = ImageScale().run(images, "lanczos", 5, 11, "disabled")
    for image, result in zip(images, scaled, strict=True):
        picture = Image.fromarray((image * 255).to(torch.uint8).numpy())
        expected = np.asarray(picture.resize((5, 11), Image.Resampling.LANCZOS)) / 255
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


def test_lanczos_leaves_its_input_alone() -> None:
    images = _random(2, 4, 4, 3)
    before = images.clone()
    ImageScale().run(images, "lanczos", 2, 2, "center")
    torch.testing.assert_close(images, before)


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_one_pixel_grows_to_a_picture_of_its_colour(method: str) -> None:
    pixel = torch.tensor([[[[0.2, 0.4, 0.6]]]])
    (scaled,) = ImageScale().run(pixel, method, 5, 3, "center")
    assert scaled.shape == (1, 3, 5, 3)
    torch.testing.assert_close(scaled, pixel.expand(1, 3, 5, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", ["nearest-exact", "area", "lanczos"])
def test_a_picture_is_never_scaled_away(method: str) -> None:
    image = _random(1, 40, 2, 3)
    assert ImageScaleBy().run(image, method, 0.01)[0].shape == (1, 1, 1, 3)
    assert ImageScaleToMaxDimension().run(image, method, 4)[0].shape == (1, 4, 1, 3)
    assert ImageScale().run(image, method, 0, 5, "disabled")[0].shape == (1, 5, 1, 3)
    assert ResizeAndPadImage().run(image, 3, 3, "white", method)[0].shape == (1, 3, 3, 3)


def test_steps_round_the_sides() -> None:
    (scaled,) = ImageScaleToTotalPixels().run(_random(1, 30, 50, 3), "nearest-exact", 0.01, 16)
    assert scaled.shape == (1, 80, 128, 3)


def test_a_batch_of_pictures_with_and_without_alpha_is_opaque_where_it_was_not_said() -> None:
    plain, alpha = _random(1, 4, 4, 3), _random(2, 4, 4, 4)
    (joined,) = ImageBatch().run(plain, alpha)
    assert joined.shape == (3, 4, 4, 4)
    torch.testing.assert_close(joined[0, ..., 3], torch.ones(4, 4))
    torch.testing.assert_close(joined[1:], alpha)


def test_feathering_falls_with_the_square_of_the_distance() -> None:
    image = _random(1, 20, 20, 3)
    padded, mask = ImagePadForOutpaint().run(image, 8, 0, 0, 0, 4)
    torch.testing.assert_close(padded[:, :, 8:], image)
    assert bool((padded[:, :, :8] == 0.5).all())
    expected = [((4 - d) / 4) ** 2 for d in range(4)]
    assert mask[0, 7, 8:12].tolist() == pytest.approx(expected)
    assert mask[0, :, 12:].count_nonzero() == 0


def test_a_picture_that_is_too_small_is_not_feathered() -> None:
    _, mask = ImagePadForOutpaint().run(_random(3, 8, 20, 4), 8, 8, 8, 8, 4)
    assert mask.shape == (1, 24, 36)
    assert mask[0, 8:16, 8:28].count_nonzero() == 0


def test_a_crop_beyond_the_picture_takes_its_last_pixel() -> None:
    image = _random(1, 4, 5, 3)
    (cropped,) = ImageCrop().run(image, 9, 9, 100, 100)
    torch.testing.assert_close(cropped, image[:, 3:, 4:])


def test_a_quarter_turn_is_clockwise() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    (turned,) = ImageRotate().run(image, "90 degrees")
    assert turned.flatten().tolist() == [3, 1, 4, 2]


def test_the_shorter_batch_of_two_stitched_ones_repeats_its_last_picture() -> None:
    first, second = _random(2, 3, 3, 3), _random(3, 3, 3, 3)
    (stitched,) = ImageStitch().run(first, "right", False, 0, "white", second)
    torch.testing.assert_close(stitched[:, :, :3], first[[0, 1, 1]])
    torch.testing.assert_close(stitched[:, :, 3:], second)


def test_an_odd_space_between_pictures_becomes_even() -> None:
    image = _random(1, 3, 3, 4)
    (stitched,) = ImageStitch().run(image, "down", False, 3, "red", image)
    assert stitched.shape == (1, 10, 3, 4)
    assert bool((stitched[0, 3:7] == torch.tensor([1.0, 0.0, 0.0, 1.0])).all())


def test_a_picture_goes_to_the_size_of_kontext_with_the_nearest_ratio() -> None:
    (scaled,) = FluxKontextImageScale().run(_random(1, 30, 40, 3))
    assert scaled.shape == (1, 880, 1184, 3)


def test_what_is_taken_out_of_a_batch_is_a_copy() -> None:
    images = _random(3, 2, 2, 3)
    (taken,) = ImageFromBatch().run(images, 1, 1)
    taken.zero_()
    assert images[1].count_nonzero() > 0


def test_the_size_of_pictures_is_known_outside_of_a_graph() -> None:
    assert GetImageSize().run(_random(2, 3, 4, 3)) == (4, 3, 2)
