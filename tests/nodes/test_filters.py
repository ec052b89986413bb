"""What recorded cases leave open about filters; and SciPy, Pillow and definitions agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from nodes.colors import ImageHistogram
from nodes.post_processing import (
    Canny,
    ImageBlend,
    ImageBlur,
    ImageQuantize,
    ImageRGBToYUV,
    ImageSharpen,
    ImageYUVToRGB,
    Morphology,
)
from nodes.tensors.quantize import bayer


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_a_blur_is_a_convolution_with_mirrored_edges() -> None:
    image = _random(1, 9, 7, 1)
    (blurred,) = ImageBlur().run(image, 2, 0.8)
    axis = np.linspace(-1, 1, 5)
    kernel = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 0.8**2))
    expected = ndimage.convolve(image[0, ..., 0].numpy(), kernel / kernel.sum(), mode="mirror")
    np.testing.assert_allclose(blurred[0, ..., 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
def test_pictures_smaller_than_the_radius_are_blurred_too(size: tuple[int, int]) -> None:
    image = torch.full((2, *size, 3), 0.25)
    torch.testing.assert_close(ImageBlur().run(image, 31, 1.0)[0], image)
    torch.testing.assert_close(ImageSharpen().run(image, 31, 1.0, 5.0)[0], image)


FILTERS: dict[str, Callable[[Tensor], Any]] = {
    "blur": lambda image: ImageBlur().run(image, 1, 1.0),
    "sharpen": lambda image: ImageSharpen().run(image, 1, 1.0, 1.0),
    "quantize": lambda image: ImageQuantize().run(image, 4, "bayer-4"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_leaves_alpha_as_it_is(name: str) -> None:
    image = _random(2, 6, 5, 4)
    (filtered,) = FILTERS[name](image)
    torch.testing.assert_close(filtered[..., 3], image[..., 3])
    torch.testing.assert_close(filtered[..., :3], FILTERS[name](image[..., :3])[0])


@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize("operation", ["erode", "dilate"])
def test_morphology_is_scipys(operation: str, size: int) -> None:
    image = _random(1, 8, 9, 1)
    (changed,) = Morphology().run(image, operation, size)
    change = ndimage.minimum_filter if operation == "erode" else ndimage.maximum_filter
    border = 2.0 if operation == "erode" else -2.0
    expected = change(image[0, ..., 0].numpy(), size=size, mode="constant", cval=border)
    np.testing.assert_array_equal(changed[0, ..., 0].numpy(), expected)


def test_a_box_larger_than_the_picture_takes_all_of_it() -> None:
    image = _random(1, 4, 5, 3)
    (changed,) = Morphology().run(image, "dilate", 999)
    torch.testing.assert_close(changed, image.amax(dim=(1, 2), keepdim=True).expand_as(image))


def test_edges_of_a_square_are_found_with_and_without_alpha() -> None:
    image = torch.zeros(1, 20, 20, 3)
    image[:, 5:15, 5:15] = 1
    (edges,) = Canny().run(image, 0.1, 0.2)
    assert edges.shape == image.shape
    assert edges[0, 10].sum() > 0
    assert edges[0, 8:12, 8:12].sum() == 0
    alpha = torch.cat((image, torch.ones(1, 20, 20, 1)), dim=-1)
    torch.testing.assert_close(Canny().run(alpha, 0.1, 0.2)[0], edges)


def test_brightness_and_colour_give_the_picture_back() -> None:
    image = _random(2, 4, 4, 3)
    y, u, v = ImageRGBToYUV().run(image)
    torch.testing.assert_close(ImageYUVToRGB().run(y, u, v)[0], image, atol=5e-3, rtol=0)


def test_grey_has_no_colour() -> None:
    _, u, v = ImageRGBToYUV().run(torch.full((1, 2, 2, 3), 0.3))
    torch.testing.assert_close(u, torch.full_like(u, 0.5))
    torch.testing.assert_close(v, torch.full_like(v, 0.5))


def test_a_blend_with_a_picture_that_has_alpha_has_alpha() -> None:
    plain, alpha = _random(1, 4, 4, 3), _random(1, 2, 6, 4)
    (blended,) = ImageBlend().run(plain, alpha, 0.0, "normal")
    assert blended.shape == (1, 4, 4, 4)
    torch.testing.assert_close(blended[..., :3], plain)


def test_a_soft_light_of_grey_changes_nothing() -> None:
    image = _random(1, 4, 4, 3)
    (blended,) = ImageBlend().run(image, torch.full_like(image, 0.5), 1.0, "soft_light")
    torch.testing.assert_close(blended, image)


def test_quantized_pictures_have_at_most_so_many_colours() -> None:
    for dither in ("none", "floyd-steinberg", "bayer-8"):
        (reduced,) = ImageQuantize().run(_random(2, 16, 16, 3), 5, dither)
        for picture in reduced:
            assert len({tuple(color) for color in picture.reshape(-1, 3).tolist()}) <= 5


def test_the_thresholds_of_bayer_are_all_different_and_nothing_in_the_mean() -> None:
    matrix = bayer(16)
    assert len(np.unique(matrix)) == 256
    assert matrix.mean() == pytest.approx(0)
    assert bayer(2).tolist() == [[-0.375, 0.125], [0.375, -0.125]]


def test_grey_pictures_of_one_channel_are_taken_for_colour() -> None:
    grey = torch.linspace(0, 1, 64).reshape(1, 8, 8, 1)
    colors = grey.expand(-1, -1, -1, 3)
    quantized, expected = (ImageQuantize().run(x, 4, "none")[0] for x in (grey, colors))
    assert torch.equal(quantized, expected)
    for ours, theirs in zip(ImageRGBToYUV().run(grey), ImageRGBToYUV().run(colors), strict=True):
        assert torch.equal(ours, theirs)
    assert ImageHistogram().run(grey) == ImageHistogram().run(colors)
