"""Nodes that draw poses of people.

POSE_KEYPOINT on a link is a list of frames, each as OpenPose writes it into a JSON file:
`{"canvas_width", "canvas_height", "people": [{"pose_keypoints_2d", "face_keypoints_2d",
"hand_left_keypoints_2d", "hand_right_keypoints_2d"}]}` with x, y in pixels and a confidence
for each point. Bodies have 18 points (COCO), 24 with feet behind them in the order of
COCO-WholeBody, or the 25 of OpenPose's BODY_25; feet may also be in `foot_keypoints_2d`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.picture_limits import check_size
from nodes.schema import SchemaNode
from nodes.tensors.pose_drawing import FEET, Person, Points, PoseStyle, drawn_people

_EMPTY_SIDE: Final = 64  # of the picture of no frames
_FARTHEST: Final = 2**16  # of a point from the picture, in pixels

# The points of BODY_25 in the order of ours, which has no middle of the hips.
_BODY_25: Final = (*range(8), *range(9, 25))


class SDPoseDrawKeypoints(SchemaNode):
    """Draws poses of people on black, as networks for poses know them."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sdpose"
    CATEGORY = "image/preprocessors"
    REQUIRED = inputs(keypoints=("POSE_KEYPOINT",))
    OPTIONAL = inputs(
        draw_body=("BOOLEAN", {"default": True}),
        draw_hands=("BOOLEAN", {"default": True}),
        draw_face=("BOOLEAN", {"default": True}),
        draw_feet=("BOOLEAN", {"default": False}),
        stick_width=("INT", {"default": 4, "min": 1, "max": 10}),
        face_point_size=("INT", {"default": 3, "min": 1, "max": 10}),
        score_threshold=("FLOAT", {"default": 0.3, "min": 0.0, "max": 1.0, "step": 0.01}),
        draw_head=("BOOLEAN", {"default": True}),
    )
    RETURN_TYPES = ("IMAGE",)

    def run(
        self,
        keypoints: Any,
        draw_body: bool = True,
        draw_hands: bool = True,
        draw_face: bool = True,
        draw_feet: bool = False,
        stick_width: int = 4,
        face_point_size: int = 3,
        score_threshold: float = 0.3,
        draw_head: bool = True,
    ) -> tuple[Tensor]:
        """A picture for each frame, with the sides of the largest canvas.

        Points with less confidence than the threshold, or none, are left out. Raises ValueError for
        what is no pose.
        """
        frames = _frames(keypoints)
        if not frames:
            return (torch.zeros(1, _EMPTY_SIDE, _EMPTY_SIDE, 3),)
        style = PoseStyle(
            body=draw_body,
            head=draw_head,
            hands=draw_hands,
            face=draw_face,
            feet=draw_feet,
            stick_width=stick_width,
            face_point_size=face_point_size,
        )
        sides = [_sides(frame) for frame in frames]
        width, height = max(side[0] for side in sides), max(side[1] for side in sides)
        check_size(self.context.settings, width, height, len(frames))
        drawn = torch.empty(len(frames), height, width, 3)
        for index, frame in enumerate(frames):
            people = self._people(frame, score_threshold)
            drawn[index] = drawn_people(people, width, height, style)
        return (drawn,)

    def _people(self, frame: Mapping[str, Any], threshold: float) -> Iterator[Person]:
        for person in _listed(frame.get("people"), "people"):
            self.context.check_interrupted()
            yield _person(person, threshold)


def _frames(keypoints: Any) -> list[Any]:
    return [keypoints] if isinstance(keypoints, Mapping) else _listed(keypoints, "poses")


def _listed(values: Any, name: str) -> list[Any]:
    """A list; None is an empty one. Raises ValueError for anything else."""
    if values is not None and not isinstance(values, list | tuple):
        raise ValueError(f"{name} are a list, not {type(values).__name__}")
    return list(values or ())


def _sides(frame: Any) -> tuple[int, int]:
    try:
        width, height = int(frame["canvas_width"]), int(frame["canvas_height"])
    except (TypeError, KeyError, ValueError, OverflowError):
        raise ValueError("each frame of poses has a canvas_width and a canvas_height") from None
    if width < 1 or height < 1:
        raise ValueError(f"a canvas of {width} x {height} has no pixels")
    return width, height


def _person(person: Any, threshold: float) -> Person:
    if not isinstance(person, Mapping):
        raise ValueError(f"a person is an object with keypoints, not {type(person).__name__}")
    body = _triples(person, "pose_keypoints_2d")
    if len(body) == len(_BODY_25) + 1:
        body = [body[index] for index in _BODY_25]
    feet = _triples(person, "foot_keypoints_2d")
    found = {**_found(body, threshold), **_found(feet, threshold, FEET.start)}
    hands = ("hand_left_keypoints_2d", "hand_right_keypoints_2d")
    return Person(
        body=found,
        hands=[_found(_triples(person, hand), threshold) for hand in hands],
        face=_found(_triples(person, "face_keypoints_2d"), threshold),
    )


def _triples(person: Mapping[str, Any], name: str) -> list[Sequence[float]]:
    """x, y and confidence of each point. Raises ValueError."""
    try:
        numbers = [float(number) for number in person.get(name) or ()]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"'{name}' is a list of numbers") from None
    if len(numbers) % 3:
        raise ValueError(f"'{name}' has three numbers for each point, not {len(numbers)} in all")
    return [numbers[start : start + 3] for start in range(0, len(numbers), 3)]


def _found(points: Sequence[Sequence[float]], threshold: float, first: int = 0) -> Points:
    """Points that are to be drawn, by their number."""
    return {
        number: (round(x), round(y))
        for number, (x, y, score) in enumerate(points, first)
        if score > 0 and score >= threshold and max(math.fabs(x), math.fabs(y)) < _FARTHEST
    }
