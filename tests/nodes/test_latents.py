"""What recorded cases leave open about latents: odd sizes, batches, places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.empty_latents import (
    EmptyHiDreamO1LatentImage,
    EmptyHunyuanVideo15Latent,
    EmptyLatentHunyuan3Dv2,
    EmptyTrellis2LatentStructure,
)
from nodes.latent_math import LatentAdd, LatentBatch, LatentConcat, ReplaceVideoLatentFrames
from nodes.latents import (
    LatentBlend,
    LatentCrop,
    LatentFromBatch,
    LatentUpscaleBy,
    RepeatLatentBatch,
)
from nodes.tensors.latents import composite, cut, cut_to_batch, interpolate


def _ramp(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape))).reshape(shape)


def test_an_interpolation_of_a_batch_is_that_of_its_items() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(3, 4, 5, 6), torch.randn(3, 4, 5, 6)
    whole = interpolate(first, second, 0.3)
    for i in range(3):
        alone = interpolate(first[i : i + 1], second[i : i + 1], 0.3)
        torch.testing.assert_close(whole[i : i + 1], alone)


def test_an_interpolation_keeps_the_mean_length_of_the_vectors() -> None:
    torch.manual_seed(1)
    first, second = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    lengths = torch.linalg.vector_norm(interpolate(first, second, 0.25), dim=1)
    expected = 0.25 * first.pow(2).sum(1).sqrt() + 0.75 * second.pow(2).sum(1).sqrt()
    torch.testing.assert_close(lengths, expected)


def test_zeros_interpolate_to_zeros() -> None:
    zeros = torch.zeros(1, 4, 2, 2)
    assert interpolate(zeros, zeros, 0.5).count_nonzero() == 0


def test_a_composite_beyond_the_edge_changes_nothing() -> None:
    lower = _ramp(1, 4, 4, 4)
    torch.testing.assert_close(composite(lower, torch.zeros(1, 4, 2, 2), 9, 0, 0), lower)


def test_a_composite_leaves_its_input_alone() -> None:
    lower = _ramp(1, 1, 4, 4)
    before = lower.clone()
    composite(lower, torch.zeros(1, 1, 2, 2), 1, 1, 1)
    torch.testing.assert_close(lower, before)


def test_a_cut_near_the_end_takes_what_is_left() -> None:
    samples = _ramp(1, 1, 1, 6)
    assert cut(samples, -1, -2, 5).flatten().tolist() == [4, 5]
    assert cut(samples, -1, 9, 5).flatten().tolist() == [5]
    assert cut(samples, -1, -9, 2).flatten().tolist() == [0, 1]


def test_pieces_of_a_batch_keep_together_and_drop_what_is_left_over() -> None:
    samples = _ramp(2, 1, 1, 5)
    pieces = cut_to_batch(samples, -1, 2)
    assert pieces.flatten(1).tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]
    assert cut_to_batch(samples, -1, 99).shape == samples.shape


def test_a_crop_near_the_end_moves_back() -> None:
    samples = {"samples": _ramp(1, 1, 9, 12)}
    (cropped,) = LatentCrop().run(samples, 512, 512, 9999, 9999)
    assert cropped["samples"].shape[-2:] == (8, 8)
    (cropped,) = LatentCrop().run({"samples": _ramp(1, 1, 2, 2)}, 64, 64, 64, 64)
    assert cropped["samples"].shape[-2:] == (2, 2)


def test_a_latent_is_never_scaled_away() -> None:
    (scaled,) = LatentUpscaleBy().run({"samples": _ramp(1, 4, 3, 3)}, "bilinear", 0.01)
    assert scaled["samples"].shape == (1, 4, 1, 1)


def test_a_repeated_batch_repeats_masks_that_are_shorter_than_it() -> None:
    latent = {"samples": _ramp(3, 1, 1, 1), "noise_mask": _ramp(2, 1, 1)}
    (repeated,) = RepeatLatentBatch().run(latent, 2)
    assert repeated["noise_mask"].flatten().tolist() == [0, 1, 0, 0, 1, 0]
    (taken,) = LatentFromBatch().run(latent, 1, 2)
    assert taken["noise_mask"].flatten().tolist() == [1, 0]


def test_latents_of_other_batches_are_concatenated_in_repetition() -> None:
    pair = {"samples": _ramp(3, 1, 1, 1)}, {"samples": _ramp(2, 1, 1, 1)}
    (joined,) = LatentConcat().run(*pair, "-x")
    assert joined["samples"].flatten(1).tolist() == [[0, 0], [1, 1], [0, 2]]


@pytest.mark.parametrize("index", [5, -1, -9])
def test_frames_that_do_not_fit_change_nothing(index: int) -> None:
    video = {"samples": _ramp(1, 1, 6, 1, 1)}
    (same,) = ReplaceVideoLatentFrames().run(video, index, {"samples": _ramp(1, 1, 2, 1, 1)})
    assert same is video


def test_no_frames_change_nothing() -> None:
    video = {"samples": _ramp(1, 1, 6, 1, 1)}
    assert ReplaceVideoLatentFrames().run(video, 0) == (video,)


def test_empty_latents_have_the_shapes_of_their_models() -> None:
    (video,) = EmptyHunyuanVideo15Latent().run(848, 480, 25, 2)
    assert video["samples"].shape == (2, 32, 7, 30, 53)
    (shape,) = EmptyLatentHunyuan3Dv2().run(3072)
    assert (shape["samples"].shape, shape["type"]) == ((1, 64, 3072), "hunyuan3dv2")
    (cube,) = EmptyTrellis2LatentStructure().run(2)
    assert (cube["samples"].shape, cube["type"]) == ((2, 32, 16, 16, 16), "trellis2")
    (pixels,) = EmptyHiDreamO1LatentImage().run(96, 64)
    assert pixels["samples"].shape == (1, 3, 64, 96)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((1, 4, 8, 8), (1, 16, 8, 8), r"4 and 16 channels \(of different models\)"),
        ((1, 16, 8, 8), (1, 16, 2, 8, 8), "of a picture and of a film"),
        ((1, 16, 3, 8, 8), (1, 16, 2, 8, 8), "3 and 2 latent frames"),
    ],
)
def test_latents_that_cannot_be_combined_say_why(
    first: tuple[int, ...], second: tuple[int, ...], message: str
) -> None:
    one, other = ({"samples": torch.zeros(shape)} for shape in (first, second))
    calls: list[Callable[[], object]] = [
        lambda: LatentAdd().run(one, other),
        lambda: LatentBatch().run(one, other),
        lambda: LatentBlend().run(one, other, 0.5),
        lambda: LatentConcat().run(one, other, "x"),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match=message):
            call()


def test_latents_beside_each_other_have_as_many_rows() -> None:
    one, other = ({"samples": torch.zeros(1, 4, rows, 8)} for rows in (8, 6))
    with pytest.raises(InvalidInput, match="8 and 6 rows cannot be combined"):
        LatentConcat().run(one, other, "x")
    assert LatentConcat().run(one, other, "y")[0]["samples"].shape == (1, 4, 14, 8)


def test_a_blend_of_batches_of_other_lengths_has_that_of_the_first() -> None:
    three, two, single = ({"samples": torch.ones(count, 4, 2, 2)} for count in (3, 2, 1))
    for one, other in ((three, two), (three, single), (single, three)):
        assert LatentBlend().run(one, other, 0.5)[0]["samples"].shape[0] == 3
