"""What Hunyuan3D 2 is told of pictures (Zhao et al. 2025, arXiv:2501.12202)."""

from __future__ import annotations

from typing import ClassVar, Final

import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from models.vision import VisionOutput
from nodes.base import inputs
from nodes.schema import SchemaNode

_VIEWS: Final = ("front", "left", "back", "right")  # a quarter turn each


class Hunyuan3Dv2Conditioning(SchemaNode):
    """Has the model see a picture from the front."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_hunyuan3d"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(clip_vision_output=("CLIP_VISION_OUTPUT", {}))
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(self, clip_vision_output: VisionOutput) -> tuple[Conditioning, Conditioning]:
        """What the image encoder says of each patch [B, T, D] in place of a prompt; zeros."""
        return _both(clip_vision_output["last_hidden_state"])


class Hunyuan3Dv2ConditioningMultiView(SchemaNode):
    """Has the model see pictures from several sides."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_hunyuan3d"
    CATEGORY = "conditioning/video_models"
    OPTIONAL = inputs(**{view: ("CLIP_VISION_OUTPUT", {}) for view in _VIEWS})
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(self, **views: VisionOutput | None) -> tuple[Conditioning, Conditioning]:
        """Views one after another [B, T, D], each with the position encoding of its side."""
        given = [views.get(view) for view in _VIEWS]
        states = [
            output["last_hidden_state"] + _position(output["last_hidden_state"], side)
            for side, output in enumerate(given)
            if output is not None
        ]
        if not states:
            raise InvalidInput("link what an image encoder says of one view at least")
        return _both(torch.cat(states, dim=1))


def _position(states: Tensor, side: int) -> Tensor:
    """The sines and cosines [1, 1, D] of a side, as positions are encoded in transformers."""
    from diffusers.models.embeddings import get_1d_sincos_pos_embed_from_grid

    encoded: Tensor = get_1d_sincos_pos_embed_from_grid(
        states.shape[-1], torch.tensor([float(side)])
    )
    return encoded[None].to(states)


def _both(states: Tensor) -> tuple[Conditioning, Conditioning]:
    return [[states, {}]], [[torch.zeros_like(states), {}]]
