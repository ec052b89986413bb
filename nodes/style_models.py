"""Nodes that put what an image encoder says of pictures into prompts."""

from __future__ import annotations

from typing import Literal

from models.conditioning import Conditioning
from models.style import StyleModel, with_style
from models.vision import VisionOutput
from nodes.base import Node, inputs


class StyleModelApply(Node):
    """Adds pictures to a prompt, as tokens that a style model makes of them."""

    DISPLAY_NAME = "Apply Style Model"
    CATEGORY = "conditioning/style_model"
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        style_model=("STYLE_MODEL",),
        clip_vision_output=("CLIP_VISION_OUTPUT",),
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.001}),
        strength_type=(["multiply", "attn_bias"],),
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self,
        conditioning: Conditioning,
        style_model: StyleModel,
        clip_vision_output: VisionOutput,
        strength: float,
        strength_type: Literal["multiply", "attn_bias"],
    ) -> tuple[Conditioning]:
        """The strength is multiplied with the tokens, or with the attention that they get."""
        tokens = style_model.get_cond(clip_vision_output)
        return (with_style(conditioning, tokens, strength, strength_type),)
