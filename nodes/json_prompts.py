"""Nodes of later releases that write a prompt in the form that one model was trained with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nodes.base import Declared, inputs
from nodes.schema import DynamicNode, SchemaNode, opening
from nodes.tensors.boxes import SCALE, Box, boxes_of

_LINE: Final[Declared] = ("STRING", {"default": "", "multiline": True})


class BuildJsonPromptIdeogram(DynamicNode):
    """Describes a picture and what is where in it, for Ideogram."""

    DISPLAY_NAME = "Build JSON Prompt (Ideogram)"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_json_prompt"
    CATEGORY = "utils/string"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        element=("ARRAY",),
        high_level_description=_LINE,
        background=_LINE,
        style=opening(
            {
                "none": inputs(),
                "photo": inputs(photo=_LINE),
                "art_style": inputs(art_style=_LINE),
            }
        ),
        aesthetics=_LINE,
        lighting=_LINE,
        medium=_LINE,
        color_palette=("COLORS", {"default": [], "socketless": True}),
    )
    RETURN_TYPES = ("DICT",)
    RETURN_NAMES = ("prompt",)

    def run(
        self,
        element: Sequence[Any],
        high_level_description: str,
        background: str,
        style: Mapping[str, str],
        aesthetics: str,
        lighting: str,
        medium: str,
        color_palette: Sequence[str] = (),
    ) -> tuple[dict[str, Any]]:
        """The order of the keys is part of the prompt."""
        prompt: dict[str, Any] = {}
        if high_level_description.strip():
            prompt["high_level_description"] = high_level_description
        kind = style["style"]
        if kind != "none":
            described: dict[str, Any] = {"aesthetics": aesthetics, "lighting": lighting}
            last = {"medium": medium}
            chosen = {kind: style[kind]}
            described |= chosen | last if kind == "photo" else last | chosen
            if color_palette:
                described["color_palette"] = list(color_palette)
            prompt["style_description"] = described
        prompt["compositional_deconstruction"] = {
            "background": background,
            "elements": list(element),
        }
        return (prompt,)


class Flux3LayoutPrompt(SchemaNode):
    """Says where the things of a prompt are to be, for Flux 3."""

    DISPLAY_NAME = "FLUX 3 Layout Prompt"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_flux"
    CATEGORY = "utils/string"
    REQUIRED = inputs(prompt=_LINE, element=("ARRAY",))
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("prompt",)

    def run(self, prompt: str, element: Any) -> tuple[str]:
        """The prompt, then a table of boxes, which it may cite as `<obj_1>`, `<obj_2>`, ...

        A row is an id, the top, left, bottom and right edge in thousandths, and a description.
        """
        boxes = boxes_of(element, SCALE, SCALE)
        if not boxes:
            return (prompt,)
        rows = [
            {
                "id": f"obj_{number}",
                "bbox": box.element(SCALE, SCALE)["bbox"],
                "desc": _described(box),
            }
            for number, box in enumerate(boxes, start=1)
        ]
        return (f"{prompt.rstrip()} {json.dumps(rows, ensure_ascii=False)}".lstrip(),)


def _described(box: Box) -> str:
    """What is to be in a box; wording that is to be read there in quotes."""
    about = box.description.strip()
    if not box.text or box.text in about:
        return about
    return f'{about} "{box.text}"'.lstrip()
