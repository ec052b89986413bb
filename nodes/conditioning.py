"""Nodes that turn prompts into CONDITIONING."""

from __future__ import annotations

from models.text.handle import Conditioning, TextHandle
from nodes.base import Node, inputs
from nodes.missing_parts import need_text_encoder


class CLIPTextEncode(Node):
    """Encodes a prompt."""

    DISPLAY_NAME = "CLIP Text Encode (Prompt)"
    CATEGORY = "conditioning"
    REQUIRED = inputs(
        text=("STRING", {"multiline": True, "dynamicPrompts": True}),
        clip=("CLIP", {}),
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(self, clip: TextHandle | None, text: str) -> tuple[Conditioning]:
        """Weights such as (word:1.2) and embedding:name are understood."""
        return (need_text_encoder(clip).encode_text(text),)


class CLIPSetLastLayer(Node):
    """Chooses which of the text encoder's layers speaks ("clip skip")."""

    DISPLAY_NAME = "CLIP Set Last Layer"
    CATEGORY = "conditioning"
    REQUIRED = inputs(
        clip=("CLIP",),
        stop_at_clip_layer=("INT", {"default": -1, "min": -24, "max": -1, "step": 1}),
    )
    RETURN_TYPES = ("CLIP",)

    def run(self, clip: TextHandle | None, stop_at_clip_layer: int) -> tuple[TextHandle]:
        """-1 is the last layer."""
        return (need_text_encoder(clip).with_layer(stop_at_clip_layer),)
