"""Nodes of later releases on pictures, and those around them: regions, colours, frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nodes.audio_latents import EmptyAceStep15LatentAudio
from nodes.colors import ColorTransfer, ImageHistogram
from nodes.image_regions import ImageCropToMask, ImageCropV2
from nodes.upscale_conditioning import SD_4XUpscale_Conditioning
from nodes.video_latents import NormalizeVideoLatentStart, TrimVideoLatent
from tests.nodes.context import node_context


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_a_region_that_begins_beyond_the_picture_is_moved_into_it(tmp_path: Path) -> None:
    image = _random(1, 5, 6, 3)
    with node_context(tmp_path):
        box = {"x": 99, "y": 2, "width": 3, "height": 99}
        made = ImageCropV2().run(image, box)
    torch.testing.assert_close(made["result"][0], image[:, 2:, 5:])
    assert len(made["ui"]["images"]) == 1


def test_what_is_no_region_is_refused_by_name(tmp_path: Path) -> None:
    with node_context(tmp_path), pytest.raises(ValueError, match="a box has x, y, width"):
        ImageCropV2().run(_random(1, 4, 4, 3), {"x": 1})


def _square() -> tuple[Tensor, Tensor]:
    """A white picture, and a mask that shows its centre."""
    mask = torch.zeros(1, 128, 128)
    mask[:, 40:88, 40:88] = 1
    return torch.ones(1, 128, 128, 3), mask


def test_a_picture_is_cut_to_its_mask_and_put_on_a_colour() -> None:
    image, mask = _square()
    (cut,) = ImageCropToMask().run(image, mask, 64, 64, 2.0, 0, "#ff0000")
    assert cut.shape == (1, 64, 64, 3)
    torch.testing.assert_close(cut[0, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(cut[0, 32, 32], torch.ones(3))
    (tight,) = ImageCropToMask().run(image, mask, 128, 128, 1.0, 0, "#ff0000")
    torch.testing.assert_close(tight, torch.ones(1, 128, 128, 3))


def test_an_inverted_mask_shows_the_same() -> None:
    image, mask = _square()
    expected = ImageCropToMask().run(image, mask, 64, 128, 1.5, 2, "#00ff00")
    inverted = ImageCropToMask().run(image, 1 - mask, 64, 128, 1.5, 2, "#00ff00")
    torch.testing.assert_close(inverted, expected)


@pytest.mark.parametrize("value", [0.0, 0.6])
def test_a_mask_that_shows_nothing_shows_all(value: float) -> None:
    image = torch.ones(2, 32, 32, 3)
    mask = torch.full((1, 16, 16), value)
    (cut,) = ImageCropToMask().run(image, mask, 64, 64, 1.0, 0, "#000000")
    torch.testing.assert_close(cut, torch.ones(2, 64, 64, 3))


def test_a_histogram_counts_every_pixel() -> None:
    image = torch.zeros(2, 2, 2, 4)
    image[0, 0, 0] = torch.tensor([1.0, 0.5, 0.0, 0.3])
    rgb, luminance, red, green, blue = ImageHistogram().run(image)
    assert (red[255], red[0], green[128], blue[0]) == (1, 3, 1, 4)
    assert all(sum(counts) == 4 for counts in (luminance, red, green, blue))
    assert rgb[0] == round((3 + 3 + 4) / 3)


def _statistics(image: Tensor) -> Any:
    return image.reshape(-1, 3).mean(dim=0)


@pytest.mark.parametrize("method", ["reinhard_lab", "mkl_lab", "histogram"])
def test_a_picture_gets_the_mean_colour_of_another(method: str) -> None:
    target, reference = _random(1, 40, 40, 3) * 0.3 + 0.2, _random(1, 30, 30, 3) * 0.3 + 0.4
    (made,) = ColorTransfer().run(target, reference, method, {"source_stats": "per_frame"}, 1.0)
    assert made.shape == target.shape
    np.testing.assert_allclose(_statistics(made), _statistics(reference), atol=0.02)


@pytest.mark.parametrize("method", ["reinhard_lab", "mkl_lab", "histogram"])
def test_a_picture_with_its_own_colours_stays_as_it_is(method: str) -> None:
    image = _random(1, 20, 20, 4)
    (made,) = ColorTransfer().run(image, image, method, {"source_stats": "uniform"}, 1.0)
    torch.testing.assert_close(made, image, atol=0.01, rtol=0)


def test_a_transfer_of_no_strength_changes_nothing() -> None:
    image = _random(1, 4, 4, 3)
    choice = {"source_stats": "per_frame"}
    assert ColorTransfer().run(image, 1 - image, "histogram", choice, 0.0)[0] is image


def test_statistics_of_one_frame_move_all_by_the_same() -> None:
    images = torch.stack((torch.full((8, 8, 3), 0.2), torch.full((8, 8, 3), 0.4)))
    choice = {"source_stats": "target_frame", "target_index": 99}
    (made,) = ColorTransfer().run(images, images[:1], "histogram", choice, 1.0)
    torch.testing.assert_close(made[1], images[0], atol=0.01, rtol=0)


def test_a_flat_picture_can_be_given_colours() -> None:
    flat = torch.full((1, 8, 8, 3), 0.5)
    for method in ("reinhard_lab", "mkl_lab", "histogram"):
        choice = {"source_stats": "per_frame"}
        (made,) = ColorTransfer().run(flat, _random(1, 8, 8, 3), method, choice, 1.0)
        assert bool(made.isfinite().all())


def test_frames_are_taken_off_the_beginning() -> None:
    video: dict[str, Any] = {"samples": _random(1, 2, 5, 3, 3), "batch_index": [0]}
    (trimmed,) = TrimVideoLatent().run(video, 2)
    torch.testing.assert_close(trimmed["samples"], video["samples"][:, :, 2:])
    assert trimmed["batch_index"] == [0]


def test_the_upscaler_is_told_the_picture_at_a_quarter_of_the_size() -> None:
    images = _random(2, 32, 64, 4)
    prompt: list[list[Any]] = [[torch.zeros(1, 77, 8), {"pooled_output": None}]]
    positive, negative, latent = SD_4XUpscale_Conditioning().run(images, prompt, prompt, 4.0, 0.2)
    assert latent["samples"].shape == (2, 4, 32, 64)
    for conditioning in (positive, negative):
        options: Any = conditioning[0][1]
        torch.testing.assert_close(options["concat_image"], images[..., :3].movedim(-1, 1) * 2 - 1)
        assert options["noise_augmentation"] == 0.2
    assert "concat_image" not in prompt[0][1]


def test_a_colour_that_is_none_is_refused_by_name() -> None:
    image, mask = _square()
    with pytest.raises(ValueError, match="'red'"):
        ImageCropToMask().run(image, mask, 64, 64, 1.0, 0, "red")


def test_the_empty_latent_of_ace_step_has_25_frames_a_second() -> None:
    (latent,) = EmptyAceStep15LatentAudio().run(2.0, 3)
    assert (latent["samples"].shape, latent["type"]) == ((3, 64, 50), "audio")


def test_the_start_of_a_film_moves_towards_the_next_frames_within_limits() -> None:
    generator = torch.Generator().manual_seed(3)
    samples = torch.randn(2, 4, 9, 3, 3, generator=generator)
    near = torch.randn(4, 4, 3, 3, generator=generator)
    near = (near - near.mean()) / near.std() * samples[0, :, 4:].std() * 1.05
    samples[0, :, :4] = near + samples[0, :, 4:].mean() + 0.03  # near the rest: all of the way
    samples[1, :, :4] = samples[1, :, :4] * 4 + 3  # far from it: as far as the limits go
    before = samples.clone()
    (made,) = NormalizeVideoLatentStart().run({"samples": samples}, 4, 5)
    start, rest = made["samples"][:, :, :4], made["samples"][:, :, 4:]
    assert torch.equal(samples, before) and torch.equal(rest, before[:, :, 4:])
    assert start[0].mean() == pytest.approx(float(rest[0].mean()), abs=1e-5)
    assert start[0].std() == pytest.approx(float(rest[0].std()), abs=1e-5)
    assert start[1].mean() == pytest.approx(float(before[1, :, :4].mean()) - 0.05, abs=1e-5)
    assert start[1].std() == pytest.approx(float(before[1, :, :4].std()) - 0.1, abs=1e-5)


def test_a_film_of_few_or_even_frames_keeps_its_start() -> None:
    short = {"samples": torch.rand(1, 4, 4, 2, 2)}
    assert NormalizeVideoLatentStart().run(short, 4, 5) == (short,)
    (even,) = NormalizeVideoLatentStart().run({"samples": torch.zeros(1, 4, 6, 2, 2)}, 4, 5)
    assert torch.equal(even["samples"], torch.zeros(1, 4, 6, 2, 2))
