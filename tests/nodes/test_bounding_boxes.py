"""Bounding boxes in all their forms, and drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from nodes.bounding_boxes import CreateBoundingBoxes, DrawBBoxes

BOX = {"x": 100, "y": 50, "width": 200, "height": 100}
SAID = BOX | {
    "metadata": {"type": "text", "text": "Hi", "desc": "a sign", "palette": ["#ff0000"] * 7}
}


def _made(**given: Any) -> tuple[dict[str, Any], Any, Any, Any]:
    arguments: dict[str, Any] = {"width": 1000, "height": 500, "editor_state": []}
    made = CreateBoundingBoxes().run(**arguments | given)
    return made["ui"], *made["result"]


def test_boxes_of_the_editor_become_elements_in_thousandths() -> None:
    ui, preview, boxes, elements = _made(editor_state=[SAID])
    assert ui == {"dims": [1000, 500]}
    assert boxes == [[BOX]]
    assert elements == [
        {
            "type": "text",
            "bbox": [100, 100, 300, 300],
            "text": "Hi",
            "desc": "a sign",
            "color_palette": ["#ff0000"] * 5,
        }
    ]
    assert preview.shape == (1, 500, 1000, 3)


FORMS: dict[str, Any] = {
    "a box": BOX,
    "a list": [BOX],
    "a list of lists": [[BOX]],
    "an element": [{"type": "obj", "bbox": [100, 100, 300, 300], "desc": ""}],
    "text": json.dumps([BOX]),
}


@pytest.mark.parametrize("form", FORMS)
def test_boxes_that_come_in_replace_those_of_the_editor(form: str) -> None:
    ui, _, boxes, elements = _made(bboxes=FORMS[form], editor_state=[SAID | {"x": 7}])
    assert boxes == [[BOX]]
    assert ui["input_bboxes"] == [BOX]
    assert elements == [{"type": "obj", "bbox": [100, 100, 300, 300], "desc": ""}]


def test_boxes_that_came_in_before_leave_the_editor_alone() -> None:
    _, _, boxes, _ = _made(bboxes=[BOX], last_incoming=[BOX], editor_state=[BOX | {"x": 7}])
    assert boxes == [[BOX | {"x": 7}]]


@pytest.mark.parametrize("nothing", [None, "", " ", [], [[]]])
def test_nothing_is_no_box(nothing: Any) -> None:
    _, preview, boxes, elements = _made(bboxes=nothing)
    assert (boxes, elements) == ([], [])
    torch.testing.assert_close(preview, torch.full((1, 500, 1000, 3), 32 / 255))


@pytest.mark.parametrize("wrong", ["{", "[1]", {"x": 1}, {"bbox": [1, 2]}, [{"x": "left"}]])
def test_what_is_no_box_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="box"):
        _made(bboxes=wrong)


def test_the_preview_is_the_dimmed_background_with_a_frame() -> None:
    _, preview, _, _ = _made(
        width=2048, height=1024, background=torch.ones(2, 8, 8, 4), editor_state=[BOX]
    )
    assert preview.shape == (1, 512, 1024, 3)
    assert preview[0, 500, 1000].tolist() == pytest.approx([0.25] * 3, abs=1 / 255)
    assert preview[0, 75, 100].tolist() != pytest.approx([0.25] * 3, abs=0.05)  # box at half size
    assert preview[0, 60, 50].tolist() != pytest.approx([0.25] * 3, abs=0.05)


def test_boxes_are_drawn_on_their_own_pictures() -> None:
    images = torch.zeros(3, 40, 40, 3)
    small = {"x": 5, "y": 5, "width": 20, "height": 20, "label": "cat", "score": 0.9}
    (drawn,) = DrawBBoxes().run([[small], []], images)
    assert drawn.shape == images.shape
    assert drawn[0, 15, 5].sum() > 0
    assert drawn[1:].count_nonzero() == 0
    (first,) = DrawBBoxes().run([small], images)
    torch.testing.assert_close(first, drawn)


def test_boxes_without_a_picture_get_a_canvas_that_fits() -> None:
    (drawn,) = DrawBBoxes().run({"x": 700, "y": 10, "width": 99, "height": 5})
    assert drawn.shape == (1, 640, 800, 3)
    assert drawn[0, 12, 700].sum() > 0


def test_a_palette_that_holds_no_colour_is_drawn_without_it() -> None:
    said = BOX | {"metadata": {"palette": ["nothing", "#00ff00"]}}
    _, preview, _, _ = _made(editor_state=[said])
    assert preview[0, 140, 108].tolist() == [0, 1, 0]
