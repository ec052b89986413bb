"""People as sticks and points, in the colours that pose networks of diffusion models know.

Colours, order of limbs and sizes are those of ControlNet's annotator for OpenPose and of DWPose, as
controlnet-aux (Apache-2.0) has them; the points are those of Cao et al. (2017), "Realtime
Multi-Person 2D Pose Estimation using Part Affinity Fields".
"""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

Point: TypeAlias = tuple[int, int]
Points: TypeAlias = Mapping[int, Point]  # those that were found, by their number
Color: TypeAlias = tuple[int, int, int]

# Nose, neck; right shoulder, elbow, wrist; left ones; right hip, knee, ankle; left ones; right and
# left eye, right and left ear. Then the feet as in COCO-WholeBody: big toe, small toe, heel, left
# first.
BODY: Final = 18
FEET: Final = range(18, 24)
_NECK: Final = 1
_HEAD: Final = frozenset({0, 14, 15, 16, 17})
_RIGHT_ANKLE, _LEFT_ANKLE = 10, 13

_LIMBS: Final = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12)),
    *((12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
_FEET_LIMBS: Final = (
    *((_LEFT_ANKLE, 18), (18, 19), (_LEFT_ANKLE, 20)),
    *((_RIGHT_ANKLE, 21), (21, 22), (_RIGHT_ANKLE, 23)),
)
_BODY_COLORS: Final[Sequence[Color]] = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
_LIMB_SHADE: Final = 0.6
_JOINT_RADIUS: Final = 4

# Of the wrist, and of four points for each finger.
_HAND_EDGES: Final = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
    for finger in range(5)
    for joint in range(4)
)
_HAND_WIDTH: Final = 2
_HAND_POINT: Final = (0, 0, 255)
_FACE_POINT: Final = (255, 255, 255)


@dataclass(frozen=True, kw_only=True)
class Person:
    """The points of one person in pixels; without what was not found."""

    body: Points  # those of the feet, too
    hands: Sequence[Points]
    face: Points


@dataclass(frozen=True, kw_only=True)
class PoseStyle:
    """What is drawn, and how thick."""

    body: bool = True
    head: bool = True
    hands: bool = True
    face: bool = True
    feet: bool = False
    stick_width: int = 4  # half of a limb's thickest place, in pixels
    face_point_size: int = 3  # radius

    @property
    def joints(self) -> Collection[int]:
        """The numbers of the points of bodies that are drawn; a head comes with the neck."""
        body = frozenset(range(BODY)) - _HEAD if self.body else frozenset()
        head = _HEAD | {_NECK} if self.head else frozenset()
        return body | head


def drawn_people(people: Iterable[Person], width: int, height: int, style: PoseStyle) -> Tensor:
    """[H, W, 3] in 0..1: people on black, one over the other."""
    image = Image.new("RGB", (width, height))
    canvas = ImageDraw.Draw(image)
    for person in people:
        if style.feet:
            _draw_feet(canvas, person.body, style)
        _draw_body(canvas, person.body, style)
        if style.hands:
            for hand in person.hands:
                _draw_hand(canvas, hand)
        if style.face:
            for point in person.face.values():
                _dot(canvas, point, style.face_point_size, _FACE_POINT)
    return torch.from_numpy(np.array(image)).float() / 255


def _draw_body(canvas: ImageDraw.ImageDraw, points: Points, style: PoseStyle) -> None:
    joints = {number: points[number] for number in style.joints if number in points}
    for (first, second), color in zip(_LIMBS, _BODY_COLORS, strict=False):
        if first in joints and second in joints:
            _limb(canvas, joints[first], joints[second], style.stick_width, color)
    for number in sorted(joints):
        _dot(canvas, joints[number], _JOINT_RADIUS, _BODY_COLORS[number])


def _draw_feet(canvas: ImageDraw.ImageDraw, points: Points, style: PoseStyle) -> None:
    limbs = [pair for pair in _FEET_LIMBS if pair[0] in points and pair[1] in points]
    for first, second in limbs:
        _limb(canvas, points[first], points[second], style.stick_width, _foot_color(second))
    for _, second in limbs:
        _dot(canvas, points[second], _JOINT_RADIUS, _foot_color(second))


def _foot_color(number: int) -> Color:
    """That of the ankle."""
    is_left = number < FEET.start + len(FEET) // 2
    return _BODY_COLORS[_LEFT_ANKLE if is_left else _RIGHT_ANKLE]


def _draw_hand(canvas: ImageDraw.ImageDraw, points: Points) -> None:
    for index, (first, second) in enumerate(_HAND_EDGES):
        if first in points and second in points:
            shade: Any = colorsys.hsv_to_rgb(index / len(_HAND_EDGES), 1.0, 1.0)
            color = tuple(int(channel * 255) for channel in shade)
            canvas.line([points[first], points[second]], fill=color, width=_HAND_WIDTH)
    for point in points.values():
        _dot(canvas, point, _JOINT_RADIUS, _HAND_POINT)


def _limb(
    canvas: ImageDraw.ImageDraw, first: Point, second: Point, half_width: int, color: Color
) -> None:
    """A filled ellipse from one point to the other."""
    start, end = np.array(first, float), np.array(second, float)
    along = (end - start) / 2
    length = float(np.hypot(*along))
    across = np.array([-along[1], along[0]]) / max(length, 1e-6) * half_width
    turn = np.radians(np.arange(360))[:, None]
    outline = (start + end) / 2 + np.cos(turn) * along + np.sin(turn) * across
    shade = tuple(int(channel * _LIMB_SHADE) for channel in color)
    canvas.polygon([(round(x), round(y)) for x, y in outline], fill=shade)


def _dot(canvas: ImageDraw.ImageDraw, point: Point, radius: int, color: Color) -> None:
    x, y = point
    canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
