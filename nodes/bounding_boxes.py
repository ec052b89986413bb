"""Nodes of later releases that make and draw bounding boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from nodes.base import Declared, inputs
from nodes.schema import SchemaNode
from nodes.tensors.boxes import Box, boxes_of
from nodes.tensors.drawing import Frame, draw
from nodes.tensors.pictures import scaled

_SIDE: Final[Declared] = ("INT", {"default": 1024, "min": 64, "max": 16384, "step": 16})
_LONGEST: Final = 1024  # side of a preview
_DIMMED: Final = 0.25  # brightness of a background
_GREY: Final = 32 / 255  # without one
_CANVAS: Final = 640  # least sides of a picture that is drawn on nothing


class CreateBoundingBoxes(SchemaNode):
    """Boxes drawn in the client, or taken over from another node."""

    DISPLAY_NAME = "Create Bounding Boxes"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_bounding_boxes"
    CATEGORY = "utils"
    EXPERIMENTAL = True
    OUTPUT_NODE = True
    REQUIRED = inputs(
        width=_SIDE,
        height=_SIDE,
        editor_state=("BOUNDING_BOXES", {"socketless": True}),
    )
    OPTIONAL = inputs(
        background=("IMAGE",),
        bboxes=("BOUNDING_BOX,ARRAY,STRING",),
        last_incoming=("BOUNDING_BOXES", {"socketless": True}),
    )
    RETURN_TYPES = ("IMAGE", "BOUNDING_BOX", "ARRAY")
    RETURN_NAMES = ("preview", "bboxes", "elements")

    def run(
        self,
        width: int,
        height: int,
        editor_state: Any,
        background: Tensor | None = None,
        bboxes: Any = None,
        last_incoming: Any = None,
    ) -> dict[str, Any]:
        """Boxes that come in anew replace those of the editor. Elements are in thousandths."""
        incoming = boxes_of(bboxes, width, height)
        is_new = bool(incoming) and incoming != boxes_of(last_incoming, width, height)
        boxes = incoming if is_new else boxes_of(editor_state, width, height)
        plain = [box.plain for box in boxes]
        ui: dict[str, Any] = {"dims": [width, height]}
        if incoming:
            ui["input_bboxes"] = [box.plain for box in incoming]
        return {
            "ui": ui,
            "result": (
                _preview(boxes, width, height, background)[None],
                [plain] if plain else [],
                [box.element(width, height) for box in boxes],
            ),
        }


def _preview(boxes: Sequence[Box], width: int, height: int, background: Tensor | None) -> Tensor:
    shrink = min(1.0, _LONGEST / max(width, height))
    sides = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if background is None:
        canvas = torch.full((sides[1], sides[0], 3), _GREY)
    else:
        canvas = scaled(background[:1, ..., :3], *sides, "bilinear")[0] * _DIMMED
    frames = []
    for number, box in enumerate(boxes, start=1):
        left, top, right, bottom = (edge * shrink for edge in box.corners)
        texts = [f"{number} {box.text}".strip(), box.description]
        lines = [line for line in texts if line]
        frames.append(Frame(corners=(left, top, right, bottom), lines=lines, swatches=box.palette))
    return draw(canvas, frames)


class DrawBBoxes(SchemaNode):
    """Draws found boxes over pictures."""

    DISPLAY_NAME = "Draw BBoxes"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_rtdetr"
    CATEGORY = "image"
    REQUIRED = inputs(bboxes=("BOUNDING_BOX",))
    OPTIONAL = inputs(image=("IMAGE",))
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)
    RETURN_NAMES = ("out_image",)

    def run(self, bboxes: Any, image: Tensor | None = None) -> tuple[Tensor]:
        """With label and score, where a box has them; a list of lists has one for each picture."""
        lists = _by_picture(bboxes)
        if image is None:
            ends = [box.corners[2:] for boxes in lists for box in boxes_of(boxes, 1, 1)]
            width = max([_CANVAS, *(round(end[0]) + 1 for end in ends)])
            height = max([_CANVAS, *(round(end[1]) + 1 for end in ends)])
            image = torch.zeros(len(lists), height, width, 3)
        drawn = []
        for i, picture in enumerate(image):
            boxes = lists[i] if i < len(lists) else []
            drawn.append(draw(picture[..., :3], [_frame(box) for box in boxes]))
        return (torch.stack(drawn),)


def _by_picture(given: Any) -> list[list[Mapping[str, Any]]]:
    """A list of boxes for each picture; boxes in one list are those of the first."""
    if isinstance(given, Mapping):
        return [[given]]
    if given is None or isinstance(given, str):
        raise InvalidInput(f"boxes come as a list of x, y, width and height, not as {given!r:.100}")
    if any(isinstance(item, Sequence) for item in given):
        return [list(item) if isinstance(item, Sequence) else [item] for item in given]
    return [list(given)]


def _frame(given: Mapping[str, Any]) -> Frame:
    (box,) = boxes_of(given, 1, 1)
    label = str(given.get("label") or "")
    score = given.get("score")
    text = label if score is None else f"{label} {float(score):.2f}".strip()
    return Frame(corners=box.corners, lines=[text] if text else [])
