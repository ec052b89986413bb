"""Poses as they are drawn."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.context import NodeSettings
from nodes.poses import SDPoseDrawKeypoints
from tests.nodes.context import node_context

# Nose to left ear, on a canvas of 120 x 160.
BODY = [
    *((60, 20), (60, 40), (40, 40), (30, 60), (25, 80), (80, 40), (90, 60), (95, 80), (50, 90)),
    *((48, 115), (46, 140), (70, 90), (72, 115), (74, 140), (56, 16), (64, 16), (51, 18), (69, 18)),
]
FEET = [(80, 150), (84, 148), (70, 150), (40, 150), (36, 148), (50, 150)]


def triples(points: list[tuple[int, int]], score: float = 1.0) -> list[float]:
    return [number for x, y in points for number in (x, y, score)]


def frame(**parts: list[float]) -> dict[str, Any]:
    person = {"pose_keypoints_2d": triples(BODY)} | parts
    return {"canvas_width": 120, "canvas_height": 160, "people": [person]}


def draw(tmp_path: Path, keypoints: Any, **options: Any) -> Tensor:
    with node_context(tmp_path):
        (image,) = SDPoseDrawKeypoints().run(keypoints, **options)
    assert isinstance(image, Tensor)
    return image


def at(image: Tensor, point: tuple[int, int]) -> list[int]:
    """The colour at x, y in 0..255."""
    return [round(value * 255) for value in image[0, point[1], point[0]].tolist()]


def between(first: int, second: int) -> tuple[int, int]:
    (x0, y0), (x1, y1) = BODY[first], BODY[second]
    return (x0 + x1) // 2, (y0 + y1) // 2


def test_joints_and_limbs_have_their_colours(tmp_path: Path) -> None:
    image = draw(tmp_path, [frame()])
    assert image.shape == (1, 160, 120, 3)
    assert at(image, BODY[0]) == [255, 0, 0]
    assert at(image, BODY[4]) == [170, 255, 0]
    assert at(image, BODY[13]) == [85, 0, 255]
    assert at(image, BODY[17]) == [255, 0, 85]
    # In the order in which ControlNet's annotator draws them, three fifths as bright.
    assert at(image, between(1, 2)) == [153, 0, 0]
    assert at(image, between(3, 4)) == [153, 153, 0]
    assert at(image, between(12, 13)) == [0, 51, 153]
    assert at(image, between(1, 0)) == [0, 0, 153]
    assert at(image, (5, 5)) == [0, 0, 0]


def test_a_limb_is_as_wide_as_is_said(tmp_path: Path) -> None:
    x, y = between(8, 9)
    for width in (1, 6):
        image = draw(tmp_path, [frame()], stick_width=width)
        row = image[0, y, x - 12 : x + 12].amax(-1) > 0
        assert int(row.sum()) == pytest.approx(2 * width + 1, abs=1)


@pytest.mark.parametrize(
    ("body", "head", "shown"),
    [
        (True, True, {0, 1, 2, 10}),
        (True, False, {1, 2, 10}),
        (False, True, {0, 1}),
        (False, False, set()),
    ],
)
def test_head_and_body_are_drawn_or_not(
    tmp_path: Path, body: bool, head: bool, shown: set[int]
) -> None:
    image = draw(tmp_path, [frame()], draw_body=body, draw_head=head)
    assert {number for number in (0, 1, 2, 10) if any(at(image, BODY[number]))} == shown
    assert any(at(image, between(1, 0))) == head
    assert any(at(image, between(1, 2))) == body


def test_points_of_little_confidence_and_their_limbs_are_left_out(tmp_path: Path) -> None:
    points = triples(BODY)
    points[3 * 4 + 2] = 0.4  # right wrist
    points[3 * 7 : 3 * 8] = [0, 0, 0]  # left wrist: not found
    image = draw(tmp_path, [frame(pose_keypoints_2d=points)], score_threshold=0.5)
    assert at(image, BODY[4]) == at(image, between(3, 4)) == [0, 0, 0]
    assert at(draw(tmp_path, [frame(pose_keypoints_2d=points)]), BODY[4]) == [170, 255, 0]
    everything = draw(tmp_path, [frame(pose_keypoints_2d=points)], score_threshold=0.0)
    assert at(everything, (0, 0)) == at(everything, between(6, 7)) == [0, 0, 0]


def test_hands_are_drawn_in_the_colours_of_a_rainbow(tmp_path: Path) -> None:
    hand = [(20, 100)] + [
        (20 + round(3 * joint * math.cos(finger)), 100 + round(8 * joint * math.sin(finger)))
        for finger in (0.2, 0.6, 1.0, 1.4, 1.8)
        for joint in range(1, 5)
    ]
    parts = {"hand_right_keypoints_2d": triples(hand)}
    image = draw(tmp_path, [frame(**parts)])
    assert at(image, hand[20]) == [0, 0, 255]
    assert not any(at(draw(tmp_path, [frame(**parts)], draw_hands=False), hand[20]))
    thumb = triples([(20, 100), (20, 150)]) + triples([(0, 0)] * 19, 0)
    line = draw(tmp_path, [frame(hand_left_keypoints_2d=thumb)], draw_body=False)
    assert at(line, (20, 112)) == [255, 0, 0]  # from the wrist to the thumb


def test_a_face_is_white_points_of_a_size(tmp_path: Path) -> None:
    face = {"face_keypoints_2d": triples([(100, 100)])}
    image = draw(tmp_path, [frame(**face)], face_point_size=5)
    assert int((image[0, 100, 80:119] == 1).all(-1).sum()) == 11
    assert not any(at(draw(tmp_path, [frame(**face)], draw_face=False), (100, 100)))


@pytest.mark.parametrize(
    "parts",
    [
        {"foot_keypoints_2d": triples(FEET)},
        {"pose_keypoints_2d": triples(BODY + FEET)},
        {"pose_keypoints_2d": triples([*BODY[:8], (60, 90), *BODY[8:], *FEET])},  # BODY_25
    ],
)
def test_feet_are_drawn_where_they_are_asked_for(
    tmp_path: Path, parts: dict[str, list[float]]
) -> None:
    image = draw(tmp_path, [frame(**parts)], draw_feet=True)
    assert at(image, FEET[0]) == at(image, BODY[13]) == [85, 0, 255]
    assert at(image, FEET[5]) == at(image, BODY[10]) == [0, 170, 255]
    assert not any(at(draw(tmp_path, [frame(**parts)]), FEET[0]))
    assert at(image, BODY[0]) == [255, 0, 0]


def test_each_frame_is_a_picture_with_all_its_people(tmp_path: Path) -> None:
    two = frame()
    two["people"].append({"face_keypoints_2d": triples([(110, 5)])})
    nobody = {"canvas_width": 130, "canvas_height": 100, "people": []}
    images = draw(tmp_path, json.loads(json.dumps([two, nobody])))
    assert images.shape == (2, 160, 130, 3)
    assert at(images, (110, 5)) == [255, 255, 255]
    assert not images[1].any()
    assert torch.equal(draw(tmp_path, frame()), draw(tmp_path, [frame()]))


@pytest.mark.parametrize("nothing", [None, []])
def test_no_frames_are_a_small_black_picture(tmp_path: Path, nothing: Any) -> None:
    assert torch.equal(draw(tmp_path, nothing), torch.zeros(1, 64, 64, 3))


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ([{"people": []}], "canvas_width"),
        ([{"canvas_width": 0, "canvas_height": 5}], "0 x 5 has no pixels"),
        ([frame(pose_keypoints_2d=[1.0, 2.0])], "three numbers for each point, not 2"),
        ([frame() | {"people": ["me"]}], "a person is an object"),
        ([frame() | {"people": [{"pose_keypoints_2d": ["a"]}]}], "a list of numbers"),
        ([{"canvas_width": 10**6, "canvas_height": 10**6}], "max_image_pixels"),
    ],
)
def test_what_is_no_pose_is_refused(tmp_path: Path, keypoints: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(tmp_path, keypoints)


def test_more_frames_than_memory_may_hold_are_refused(tmp_path: Path) -> None:
    settings = NodeSettings(max_media_bytes=2 * 120 * 160 * 12)
    with node_context(tmp_path, settings=settings):
        assert len(SDPoseDrawKeypoints().run([frame()] * 2)[0]) == 2
        with pytest.raises(ValueError, match="3 pictures of 120 x 160"):
            SDPoseDrawKeypoints().run([frame()] * 3)


def test_points_far_away_or_without_a_place_do_no_harm(tmp_path: Path) -> None:
    points = triples(BODY)
    points[0:3] = [float("nan"), 3.0, 1.0]
    points[3 * 4 : 3 * 4 + 2] = [1e30, -1e30]
    points[3 * 7 : 3 * 7 + 2] = [-5000, 9000]
    image = draw(tmp_path, [frame(pose_keypoints_2d=points)])
    assert at(image, BODY[1]) == [255, 85, 0]
