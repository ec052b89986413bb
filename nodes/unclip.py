"""Nodes for models that are told a picture."""

from __future__ import annotations

from models.conditioning import Conditioning, appended
from models.vision import VisionOutput
from nodes.base import Node, inputs


class unCLIPConditioning(Node):
    """Tells a model what an image encoder says of a picture; several in a row add up."""

    CATEGORY = "conditioning"
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        clip_vision_output=("CLIP_VISION_OUTPUT",),
        strength=("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}),
        noise_augmentation=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}),
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self,
        conditioning: Conditioning,
        clip_vision_output: VisionOutput,
        strength: float,
        noise_augmentation: float,
    ) -> tuple[Conditioning]:
        """The more noise, the freer the model is with what it was told."""
        if strength == 0:
            return (conditioning,)
        picture = {
            "clip_vision_output": clip_vision_output,
            "strength": strength,
            "noise_augmentation": noise_augmentation,
        }
        return (appended(conditioning, "unclip_conditioning", [picture]),)
