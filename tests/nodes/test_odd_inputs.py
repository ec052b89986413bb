"""Inputs that fit no other one: batches, sides and channels that differ, and very small ones.

Each gives a result, or an error that says what is wrong; none ends in one of torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes import compositing, post_processing
from nodes.advanced_saving import SaveImageAdvanced
from nodes.audio import AudioConcat, AudioMerge, JoinAudioChannels
from nodes.bounding_boxes import DrawBBoxes
from nodes.colors import ColorTransfer
from nodes.conditioning_mixing import ConditioningConcat
from nodes.custom_sampling.schedulers import (
    ExponentialScheduler,
    KarrasScheduler,
    PolyexponentialScheduler,
)
from nodes.custom_sampling.sigmas import SetFirstSigma
from nodes.image_regions import ImageCropToMask
from nodes.images import ImageBatch, ImageScale
from nodes.latent_files import LoadLatent
from nodes.latent_math import LatentCutToBatch, ReplaceVideoLatentFrames
from nodes.latents import LatentComposite, LatentUpscale
from nodes.logic import ComfyAndNode, ComfyNotNode, ComfyOrNode
from nodes.masks import LatentCompositeMasked
from nodes.saved_files import NameTooLong
from nodes.saving import SaveImage
from nodes.sound_files import Sound
from nodes.structured_text import JsonExtractString
from nodes.video import SaveWEBM
from nodes.video_pictures import SeedVR2PostProcessing
from tests.nodes.context import node_context


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
@pytest.mark.parametrize(("shape", "width", "height"), [((16, 9), 100, 1), ((1, 40), 1, 64)])
def test_something_is_left_where_a_strip_is_cut_out_of_another(
    method: str, shape: tuple[int, int], width: int, height: int
) -> None:
    (made,) = ImageScale().run(noise(2, *shape, 3), method, width, height, "center")
    assert made.shape == (2, height, width, 3)


def test_a_strip_goes_into_a_batch_with_another() -> None:
    (made,) = ImageBatch().run(noise(1, 1, 40, 3), noise(1, 16, 9, 3))
    assert made.shape == (2, 1, 40, 3)


SOUND_LATENT = {"samples": noise(1, 64, 20)}
PICTURE = {"samples": noise(1, 4, 8, 8)}
FILM = {"samples": noise(1, 4, 3, 8, 8)}


@pytest.mark.parametrize(
    "work",
    [
        lambda: LatentUpscale().run(SOUND_LATENT, "bilinear", 64, 64, "disabled"),
        lambda: LatentComposite().run(SOUND_LATENT, SOUND_LATENT, 0, 0, 0),
        lambda: LatentComposite().run(PICTURE, {"samples": noise(1, 16, 8, 8)}, 0, 0, 0),
        lambda: LatentComposite().run(FILM, PICTURE, 0, 0, 0),
        lambda: LatentCompositeMasked().run(FILM, PICTURE, 0, 0, False),
        lambda: LatentCompositeMasked().run(PICTURE, SOUND_LATENT, 0, 0, True),
        lambda: LatentCutToBatch().run(SOUND_LATENT, "t", 1),
        lambda: ReplaceVideoLatentFrames().run(PICTURE, 0, PICTURE),
        lambda: ReplaceVideoLatentFrames().run(FILM, 0, {"samples": noise(1, 16, 1, 8, 8)}),
        lambda: ReplaceVideoLatentFrames().run(FILM, 0, {"samples": noise(1, 4, 1, 9, 8)}),
        lambda: ConditioningConcat().run(
            [[noise(2, 3, 8), {}]], [[noise(3, 3, 8), {}]]
        ),
        lambda: post_processing.Canny().run(noise(1, 8, 8, 3), 0.9, 0.1),
        lambda: KarrasScheduler().run(3, 14.6, 0.03, 0.0),
        lambda: ExponentialScheduler().run(3, 14.6, 0.0),
        lambda: PolyexponentialScheduler().run(3, 0.0, 0.03, 1.0),
        lambda: SeedVR2PostProcessing().run(noise(1, 1, 9, 3), noise(1, 9, 9, 3), "wavelet"),
    ],
)  # fmt: skip
def test_what_cannot_go_together_is_refused(work: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput):
        work()


def test_latents_of_other_batches_are_laid_over_again_and_again() -> None:
    lower, upper = {"samples": noise(3, 4, 8, 8)}, {"samples": noise(2, 4, 2, 2)}
    (made,) = LatentComposite().run(lower, upper, 0, 0, 0)
    assert torch.equal(made["samples"][2, :, :2, :2], upper["samples"][0])
    films, new = {"samples": noise(2, 4, 3, 8, 8)}, {"samples": noise(1, 4, 1, 8, 8)}
    (made,) = ReplaceVideoLatentFrames().run(films, 1, new)
    assert torch.equal(made["samples"][1, :, 1], new["samples"][0, :, 0])


def test_a_prompt_for_one_is_joined_to_one_for_several() -> None:
    one, several = [[noise(1, 3, 8), {}]], [[noise(2, 5, 8), {}]]
    assert ConditioningConcat().run(one, several)[0][0][0].shape == (2, 8, 8)
    assert ConditioningConcat().run(several, one)[0][0][0].shape == (2, 8, 8)


def test_blends_repeat_the_second_of_two_batches() -> None:
    (made,) = post_processing.ImageBlend().run(noise(3, 4, 4, 3), noise(2, 4, 4, 3), 1.0, "normal")
    assert torch.equal(made, noise(2, 4, 4, 3)[[0, 1, 0]])
    (made,) = post_processing.ImageBlend().run(noise(1, 4, 4, 3), noise(2, 4, 4, 3), 1.0, "normal")
    assert torch.equal(made, noise(2, 4, 4, 3))


def test_a_picture_with_alpha_is_composited_with_one_without() -> None:
    opaque, clear = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    source, destination = noise(1, 4, 4, 4), noise(1, 4, 4, 3)
    color, _ = compositing.PorterDuffImageComposite().run(source, opaque, destination, clear, "SRC")
    assert color.shape == (1, 4, 4, 4)
    torch.testing.assert_close(color, source)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_edges_of_small_pictures_are_drawn(side: int) -> None:
    (edges,) = post_processing.Canny().run(noise(1, side, side, 3), 0.1, 0.2)
    assert edges.shape == (1, side, side, 3)
    assert edges.isfinite().all()


def test_brightness_and_colour_of_other_sizes_make_a_picture() -> None:
    (made,) = post_processing.ImageYUVToRGB().run(
        noise(2, 8, 8, 3), noise(1, 4, 4, 1), noise(3, 5, 8, 3)
    )
    assert made.shape == (2, 8, 8, 3)


@pytest.mark.parametrize("method", ["reinhard_lab", "mkl_lab", "histogram"])
@pytest.mark.parametrize("target", [noise(1, 1, 1, 3), noise(2, 3, 3, 4), noise(1, 6, 6, 1)])
@pytest.mark.parametrize("reference", [noise(1, 1, 1, 3), noise(2, 6, 6, 1)])
def test_single_pixels_and_grey_pictures_give_and_take_colours(
    method: str, target: Tensor, reference: Tensor
) -> None:
    (made,) = ColorTransfer().run(target, reference, method, {"source_stats": "per_frame"}, 1.0)
    assert made.shape[:3] == target.shape[:3]
    assert made.shape[3] == max(3, target.shape[3])
    assert made.isfinite().all()


def test_grey_pictures_are_cut_to_masks_and_drawn_on() -> None:
    grey = noise(1, 6, 6, 1)
    (cut,) = ImageCropToMask().run(grey, torch.ones(1, 6, 6), 64, 64, 1.0, 0, "#000000")
    assert cut.shape == (1, 64, 64, 3)
    (drawn,) = DrawBBoxes().run({"x": 1, "y": 1, "width": 3, "height": 3}, grey)
    assert drawn.shape == (1, 6, 6, 3)


def test_what_has_no_truth_counts_as_there() -> None:
    picture = noise(1, 2, 2, 3)
    assert ComfyNotNode().run(picture) == (False,)
    assert ComfyAndNode().run({"value0": picture, "value1": 1}) == (True,)
    assert ComfyOrNode().run({"value0": 0, "value1": picture}) == (True,)
    assert ComfyNotNode().run(torch.zeros(1)) == (True,)


def sound(count: int, channels: int, length: int, rate: int) -> Sound:
    return {"waveform": torch.zeros(count, channels, length), "sample_rate": rate}


@pytest.mark.parametrize(
    "combined",
    [
        lambda a, b: JoinAudioChannels().run(a, b),
        lambda a, b: AudioConcat().run(a, b, "before"),
        lambda a, b: AudioMerge().run(a, b, "add"),
    ],
)
def test_sounds_without_a_sample_are_combined_with_others(
    combined: Callable[[Sound, Sound], tuple[Sound]],
) -> None:
    empty, others = sound(1, 1, 0, 8000), sound(2, 1, 30, 16000)
    (made,) = combined(empty, others)
    assert made["sample_rate"] == 16000
    assert made["waveform"].shape[0] == 2
    assert made["waveform"].shape[-1] in (0, 30)


def test_no_sigmas_have_no_first_one() -> None:
    assert len(SetFirstSigma().run(torch.empty(0), 3.0)[0]) == 0


@pytest.mark.parametrize("prefix", ["x" * 240, "a/" + "é" * 120 + "/b"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, prefix: str) -> None:
    with node_context(tmp_path), pytest.raises(NameTooLong, match="too long"):
        SaveImage().run(noise(1, 2, 2, 3), prefix)
    assert not any((tmp_path / "output").iterdir())


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, (2).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_latent_is_named(tmp_path: Path, content: bytes) -> None:
    with node_context(tmp_path) as folders:
        (folders.input / "x.latent").write_bytes(content)
        with pytest.raises(InvalidInput, match=r"^'x\.latent'"):
            LoadLatent().run("x.latent")


def test_a_choice_that_is_none_is_named_with_those_that_are(tmp_path: Path) -> None:
    with node_context(tmp_path), pytest.raises(InvalidInput, match=r"'format' .* png, exr, avif"):
        SaveImageAdvanced().run_flat(images=noise(1, 2, 2, 3), filename_prefix="x")


def test_more_pictures_a_second_than_av1_has_are_refused(tmp_path: Path) -> None:
    with node_context(tmp_path), pytest.raises(InvalidInput, match="240 pictures a second"):
        SaveWEBM().run(noise(2, 64, 64, 3), "w", "av1", 1000.0, 30.0)


def test_deep_json_is_given_up_at_once() -> None:
    assert JsonExtractString().run('{"a":' * 100_000, "a") == ("",)
    assert JsonExtractString().run('{ {"a": 1}', "a") == ("1",)
