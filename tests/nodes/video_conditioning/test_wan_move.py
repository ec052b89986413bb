"""Things that move along tracks, against the formulas of the papers worked out point by point."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.conditioning import Conditioning
from models.errors import InvalidInput
from nodes.pixel_space import Vae
from nodes.tensors.tracks import Tracks
from nodes.video_conditioning.frames import nothing_for_wan
from nodes.video_conditioning.wan import WanImageToVideo
from nodes.video_conditioning.wan_move import (
    GenerateTracks,
    WanMoveConcatTrack,
    WanMoveTracksFromCoords,
    WanMoveTrackToVideo,
    WanMoveVisualizeTracks,
    WanTrackToVideo,
)
from tests.nodes.context import node_context
from tests.nodes.video_conditioning.film_vae import as_vae, picture, wan_vae

WIDTH, HEIGHT, LENGTH = 64, 32, 9


@pytest.fixture(scope="module")
def vae() -> Vae:
    return as_vae(wan_vae())


@pytest.fixture
def prompt() -> Conditioning:
    return [[torch.zeros(1, 4, 8), {}]]


@pytest.fixture(scope="module")
def still(vae: Vae) -> dict[str, Any]:
    """What a model is told of a first frame alone."""
    prompt: Conditioning = [[torch.zeros(1, 4, 8), {}]]
    first = picture(1, WIDTH, HEIGHT)
    positive, _, _ = WanImageToVideo().run(
        prompt, prompt, vae, WIDTH, HEIGHT, LENGTH, 1, start_image=first
    )
    return dict(positive[0][1])


def tracks(*points: list[tuple[float, float]]) -> Tracks:
    made, length = WanMoveTracksFromCoords().run(_json(*points))
    assert length == max(len(track) for track in points)
    return made


def _json(*points: list[tuple[float, float]]) -> str:
    return json.dumps([[{"x": x, "y": y} for x, y in track] for track in points])


def moved(
    vae: Vae, prompt: Conditioning, given: Tracks | None, strength: float = 1.0
) -> dict[str, Any]:
    positive, negative, latent = WanMoveTrackToVideo().run(
        prompt, prompt, vae, strength, WIDTH, HEIGHT, LENGTH, 2, picture(1, WIDTH, HEIGHT), given
    )
    assert latent["samples"].shape == (2, 16, 3, HEIGHT // 8, WIDTH // 8)
    assert positive[0][1].keys() == negative[0][1].keys()
    return dict(positive[0][1])


def test_a_feature_of_the_first_frame_goes_where_its_point_goes(
    vae: Vae, prompt: Conditioning, still: dict[str, Any]
) -> None:
    # Frame 0, then four frames a latent frame: their means are (34, 20) and (50, 12).
    way = [(5.0, 9.0), *[(x, 20.0) for x in (31.0, 33.0, 35.0, 37.0)], *[(50.0, 12.0)] * 4]
    options = moved(vae, prompt, tracks(way))
    before, after = still["concat_latent_image"], options["concat_latent_image"]
    expected = before.clone()
    expected[..., 1, 2, 4] = before[..., 0, 1, 0]
    expected[..., 2, 1, 6] = before[..., 0, 1, 0]
    assert torch.equal(after, expected)
    assert torch.equal(options["concat_mask"], still["concat_mask"])
    half = moved(vae, prompt, tracks(way), 0.5)["concat_latent_image"]
    assert torch.allclose(half, (before + expected) / 2, atol=1e-5)


def test_points_outside_unseen_or_without_a_beginning_move_nothing(
    vae: Vae, prompt: Conditioning, still: dict[str, Any]
) -> None:
    outside = tracks([(5.0, 9.0), *[(WIDTH + 1.0, 5.0)] * 4, *[(5.0, -1.0)] * 4])
    late = tracks([(-5.0, 9.0), *[(20.0, 5.0)] * 8])
    short = tracks([(5.0, 9.0)])
    mask = torch.zeros(1, HEIGHT, WIDTH)
    hidden, _ = WanMoveTracksFromCoords().run(_json([(5.0, 9.0), *[(30.0, 5.0)] * 8]), mask)
    for given in (outside, late, short, hidden, None):
        options = moved(vae, prompt, given)
        assert torch.equal(options["concat_latent_image"], still["concat_latent_image"])


def test_where_points_meet_the_first_track_counts(
    vae: Vae, prompt: Conditioning, still: dict[str, Any]
) -> None:
    one, two = [(5.0, 9.0), *[(40.0, 5.0)] * 8], [(25.0, 25.0), *[(40.0, 5.0)] * 8]
    (both,) = WanMoveConcatTrack().run(tracks(one), tracks(two))
    after = moved(vae, prompt, both)["concat_latent_image"]
    assert torch.equal(after[..., 1, 0, 5], still["concat_latent_image"][..., 0, 1, 0])


def test_a_mean_is_of_the_frames_in_which_a_point_is_seen(
    vae: Vae, prompt: Conditioning, still: dict[str, Any]
) -> None:
    mask = torch.ones(9, HEIGHT, WIDTH)
    mask[3:5] = 0
    way = [(5.0, 9.0), (33.0, 5.0), (35.0, 5.0), (60.0, 5.0), (60.0, 5.0), *[(5.0, 9.0)] * 4]
    given, _ = WanMoveTracksFromCoords().run(_json(way), mask)
    after = moved(vae, prompt, given)["concat_latent_image"]
    assert torch.equal(after[..., 1, 0, 4], still["concat_latent_image"][..., 0, 1, 0])


def ati(vae: Vae, prompt: Conditioning, text: str, strongest: int = 2) -> dict[str, Any]:
    positive, _, _ = WanTrackToVideo().run(
        prompt, prompt, vae, text, WIDTH, HEIGHT, LENGTH, 1, 220.0, strongest,
        picture(1, WIDTH, HEIGHT),
    )  # fmt: skip
    return dict(positive[0][1])


def _ati_by_hand(latent: Tensor, points: list[list[tuple[float, float]]]) -> tuple[Tensor, Tensor]:
    """The paper's formula for every element by itself, with all points; raw units."""
    middle = nothing_for_wan(latent)
    centred = latent - middle
    expected, weights = centred.clone(), torch.zeros(1, 1, *latent.shape[2:])
    weights[:, :, 0] = 1
    h, w = latent.shape[3:]
    for frame in range(1, latent.shape[2]):
        for row in range(h):
            for column in range(w):
                total, feature = 0.0, torch.zeros(latent.shape[1])
                for way in points:
                    part = way[4 * frame - 3 : 4 * frame + 1]
                    x, y = (sum(p[axis] for p in part) / 4 for axis in (0, 1))
                    u, v = (x - WIDTH / 2) / (HEIGHT / 2), (y - HEIGHT / 2) / (HEIGHT / 2)
                    gx, gy = -w / h + 2 * w / h * column / (w - 1), -1 + 2 * row / (h - 1)
                    weight = math.exp(-220 * ((u - gx) ** 2 + (v - gy) ** 2))
                    x0, y0 = way[0]
                    place = torch.tensor([[[[2 * x0 / WIDTH - 1, 2 * y0 / HEIGHT - 1]]]])
                    start = functional.grid_sample(centred[:, :, 0], place, align_corners=False)
                    feature += weight * start.flatten()
                    total += weight
                expected[0, :, frame, row, column] *= 1 - total
                expected[0, :, frame, row, column] += feature
                weights[0, 0, frame, row, column] = total
    return expected + middle, weights


def test_ati_spreads_features_around_points(
    vae: Vae, prompt: Conditioning, still: dict[str, Any]
) -> None:
    points = [
        [(5.0, 9.0), *[(17.0 + i, 11.0) for i in range(8)]],
        [(40.0, 20.0), *[(55.0, 20.0 + i / 2) for i in range(8)]],
    ]
    options = ati(vae, prompt, _json(*points))
    shown, weights = _ati_by_hand(still["concat_latent_image"], points)
    assert weights[:, :, 1:].max() > 0.1
    assert torch.allclose(options["concat_latent_image"], shown, atol=1e-4)
    assert torch.allclose(
        options["concat_mask"], (1 - weights).expand(-1, 4, -1, -1, -1), atol=1e-5
    )


def test_ati_takes_the_strongest_points_alone(vae: Vae, prompt: Conditioning) -> None:
    near, far = [(18.0, 10.0)] * 9, [(20.0, 10.0)] * 9
    one = ati(vae, prompt, _json(near, far), strongest=1)["concat_mask"]
    both = ati(vae, prompt, _json(near, far), strongest=10)["concat_mask"]
    alone = ati(vae, prompt, _json(near), strongest=10)["concat_mask"]
    assert (both[:, :, 1:] <= one[:, :, 1:]).all() and not torch.equal(both, one)
    assert (one[:, :, 1:] <= alone[:, :, 1:]).all()


def test_ati_brings_tracks_to_the_length_of_the_film(vae: Vae, prompt: Conditioning) -> None:
    way = [(10.0 + 2 * i, 9.0) for i in range(9)]
    twice = [(10.0 + i, 9.0) for i in range(17)]  # the same motion at twice the frames a second
    expected = ati(vae, prompt, _json(way))["concat_latent_image"]
    assert torch.equal(ati(vae, prompt, _json(twice))["concat_latent_image"], expected)


def test_ati_without_tracks_is_a_first_frame(
    vae: Vae, prompt: Conditioning, still: dict[str, Any]
) -> None:
    options = ati(vae, prompt, "[]")
    assert torch.equal(options["concat_latent_image"], still["concat_latent_image"])


def generated(**changes: Any) -> Tracks:
    usual = {
        "width": 100, "height": 50, "start_x": 0.0, "start_y": 0.5, "end_x": 1.0, "end_y": 0.5,
        "num_frames": 5, "num_tracks": 3, "track_spread": 0.1, "bezier": False, "mid_x": 0.5,
        "mid_y": 0.0, "interpolation": "linear",
    }  # fmt: skip
    made, length = GenerateTracks().run(**{**usual, **changes})
    assert length == made.length
    return made


def test_generated_tracks_lie_side_by_side() -> None:
    made = generated()
    assert torch.allclose(made.path[:, 1, 0], torch.tensor([0.0, 25, 50, 75, 100]))
    assert torch.allclose(made.path[2, :, 1], torch.tensor([15.0, 25, 35]))
    assert made.seen.all()
    assert torch.allclose(generated(num_tracks=1).path[:, 0], made.path[:, 1])


def test_generated_tracks_bend_towards_the_middle() -> None:
    # A quadratic Bezier curve at half of its way: a quarter, a half and a quarter of the points.
    assert torch.allclose(generated(bezier=True).path[2, 1], torch.tensor([50.0, 12.5]))


def test_generated_tracks_start_and_stop_as_they_are_told() -> None:
    shares = {
        name: (generated(interpolation=name).path[1, 1, 0] / 100).item()
        for name in ("linear", "ease_in", "ease_out", "ease_in_out", "constant")
    }
    assert shares == pytest.approx(
        {"linear": 0.25, "ease_in": 0.0625, "ease_out": 0.4375, "ease_in_out": 0.15625}
        | {"constant": 0.0}
    )


def test_a_mask_says_where_generated_tracks_are_seen() -> None:
    mask = torch.zeros(1, 10, 20)
    mask[..., :10] = 1  # the left half
    made = generated(track_mask=mask)
    assert made.seen[:, 1].tolist() == [True, True, False, False, False]


def test_tracks_of_different_lengths_go_together() -> None:
    (both,) = WanMoveConcatTrack().run(tracks([(1.0, 2.0)] * 3), tracks([(3.0, 4.0)] * 5))
    assert both.path.shape == (5, 2, 2)
    assert both.seen[:, 0].tolist() == [True, True, True, False, False]
    assert both.seen[:, 1].all()
    assert WanMoveConcatTrack().run(both)[0] is both


def test_tracks_are_drawn_where_they_are(tmp_path: Path) -> None:
    image = torch.zeros(1, 32, 64, 3)
    mask = torch.ones(3, 32, 64)
    mask[2] = 0
    way = [(10.0, 10.0), (50.0, 10.0), (50.0, 10.0)]
    made, _ = WanMoveTracksFromCoords().run(_json(way), mask)
    with node_context(tmp_path):
        (drawn,) = WanMoveVisualizeTracks().run(image, 24, 6, 0.5, 2, made)
        longer = tracks([*way, (50.0, 10.0)])
        (short,) = WanMoveVisualizeTracks().run(image, 1, 6, 0.5, 2, longer)
        assert WanMoveVisualizeTracks().run(image, 24, 6, 0.5, 2)[0] is image
    assert drawn.shape == (3, 32, 64, 3)
    assert drawn[0, 10, 10].any() and not drawn[0, 10, 30].any()
    assert drawn[1, 10, 50].any() and drawn[1, 10, 30].any()
    assert not drawn[2].any()
    assert not short[3, 10, 30].any()


@pytest.mark.parametrize("text", ["[]", "{", '[{"x": 1}]', "[[1, 2]]", '[[{"x": 1, "y": NaN}]]'])
def test_what_is_no_track_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="track"):
        WanMoveTracksFromCoords().run(text)


def test_a_list_of_points_is_one_track() -> None:
    made, length = WanMoveTracksFromCoords().run('[{"x": 1, "y": 2}, {"x": 3, "y": 4}]')
    assert length == 2 and made.path.tolist() == [[[1.0, 2.0]], [[3.0, 4.0]]]
