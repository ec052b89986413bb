"""Nodes of later releases that write a prompt in the form that one model was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nodes.base import Declared, inputs
from nodes.schema import DynamicNode, opening

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
