"""Wan Animate 2: a person in a picture moves as another does in a film, which is given as it is.

The layout is that of diffusers' Wan Animate 2 pipeline. Long films are made in parts, each of which
begins with the last frame of the part before.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.conditioning import Conditioning, with_options
from models.errors import InvalidInput
from models.vision import VisionOutput
from nodes.base import Declared, inputs
from nodes.pixel_space import Vae
from nodes.tensors.latents import Latent
from nodes.video_conditioning.base import WanNode, seen
from nodes.video_conditioning.frames import empty_latent, encoded, film_of_grey, fitted
from nodes.video_conditioning.wan_animate import REFERENCE, part_of, with_reference

_SHARED: Final = 1  # frames of a part that are the last ones of the part before


def _strength(default: float, most: float = 10.0) -> Declared:
    return ("FLOAT", {"default": default, "min": 0.0, "max": most, "step": 0.01})


class WanAnimate2ToVideo(WanNode):
    """Gives a model the picture of a person, and a film of how to move."""

    DISPLAY_NAME = "Wan Animate 2 To Video"
    OPTIONAL = inputs(
        reference_image=("IMAGE", {}),
        pose_video=("IMAGE", {}),
        clip_vision_output=("CLIP_VISION_OUTPUT", {}),
        positive_pose=("CONDITIONING", {}),
        clip_vision_output_pose=("CLIP_VISION_OUTPUT", {}),
        continue_motion=("IMAGE", {}),
    )
    REQUIRED = inputs(
        **WanNode.REQUIRED,
        video_frame_offset=("INT", {"default": 0, "min": 0, "max": 16384}),
        pose_strength=_strength(1.0),
        pose_start_percent=_strength(0.0, 1.0),
        pose_end_percent=_strength(1.0, 1.0),
        reference_image_strength=_strength(1.0),
    )
    RETURN_TYPES: ClassVar[tuple[str, ...]] = (*WanNode.RETURN_TYPES, "INT", "INT", "INT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = (
        *WanNode.RETURN_NAMES,
        "trim_latent",
        "trim_image",
        "video_frame_offset",
    )

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        video_frame_offset: int = 0,
        pose_strength: float = 1.0,
        pose_start_percent: float = 0.0,
        pose_end_percent: float = 1.0,
        reference_image_strength: float = 1.0,
        reference_image: Tensor | None = None,
        pose_video: Tensor | None = None,
        clip_vision_output: VisionOutput | None = None,
        positive_pose: Conditioning | None = None,
        clip_vision_output_pose: VisionOutput | None = None,
        continue_motion: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent, int, int, int]:
        """`trim_latent`, `trim_image`: what is cut off the result; the last is for a next part.

        The latent begins with a frame for the picture. A film that is too short goes back and
        forth.
        """
        before = None if continue_motion is None else continue_motion[-_SHARED:]
        given = 0 if before is None or length == 1 else _SHARED
        start = max(0, video_frame_offset - given)
        size = (width, height)
        film, to_make = film_of_grey(length, width, height), torch.ones(length, height, width)
        if before is not None and given:
            film[:given] = fitted(before, width, height)
            to_make[:given] = 0
        options = with_reference(vae, film, to_make, reference_image, size)
        options |= seen(clip_vision_output)
        options["reference_image_strength"] = reference_image_strength
        if pose_video is not None:
            pose = fitted(part_of(pose_video, start, length), width, height)
            options["pose_video_latent"] = encoded(vae, pose)
            options["pose_strength"] = pose_strength
            options["pose_range"] = (pose_start_percent, pose_end_percent)
            options |= _pose_prompt(positive_pose, clip_vision_output_pose)
        latent = empty_latent(batch_size, length, width, height)["samples"]
        return (
            with_options(positive, options),
            with_options(negative, options),
            {"samples": functional.pad(latent, (0, 0, 0, 0, REFERENCE, 0))},
            REFERENCE,
            given,
            start + length,
        )


def _pose_prompt(prompt: Conditioning | None, output: VisionOutput | None) -> dict[str, Any]:
    """What the pose film is described with: an encoded prompt, and what an encoder sees in it."""
    options: dict[str, Any] = {}
    if prompt is not None:
        if not prompt:
            raise InvalidInput("the prompt for the pose is a conditioning without entries")
        options["pose_prompt"] = prompt[0][0]
    if output is not None:
        options["pose_clip_vision_output"] = output
    return options
