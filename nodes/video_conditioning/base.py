"""What the classes for video models have in common: inputs, outputs, what an encoder has seen."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from models.conditioning import Conditioning
from models.vision import VisionOutput
from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent
from nodes.video_conditioning.frames import BATCH, frame_count, pixels

Result = tuple[Conditioning, Conditioning, Latent]


class WanNode(SchemaNode):
    """A class for Wan 2.1's layout: 16 channels, 8 pixels and 4 frames an element."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_wan"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        vae=("VAE", {}),
        width=pixels(832),
        height=pixels(480),
        length=frame_count(81),
        batch_size=BATCH,
    )
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("positive", "negative", "latent")


def seen(*outputs: VisionOutput | None) -> dict[str, Any]:
    """The option that carries what an image encoder says, of several pictures in one row."""
    there = [output for output in outputs if output is not None]
    if not there:
        return {}
    if len(there) == 1:
        return {"clip_vision_output": there[0]}
    states = torch.cat([output["penultimate_hidden_states"] for output in there], dim=1)
    return {"clip_vision_output": VisionOutput(penultimate_hidden_states=states)}
