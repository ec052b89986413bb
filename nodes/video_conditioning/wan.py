"""Wan's models: films that begin with a picture, or end with one.

Layouts are those of diffusers' WanImageToVideoPipeline (Wan et al. 2025, arXiv:2503.20314).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.conditioning import Conditioning, with_options
from models.vision import VisionOutput
from nodes.base import inputs
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent
from nodes.video_conditioning.base import Result, WanNode, seen
from nodes.video_conditioning.frames import (
    BATCH,
    beginning,
    empty_latent,
    encoded,
    fitted,
    frame_count,
    pixels,
    start_and_end,
    whole_latent_frames,
)


class WanImageToVideo(WanNode):
    """Tells a model how its film begins."""

    OPTIONAL = inputs(
        clip_vision_output=("CLIP_VISION_OUTPUT", {}),
        start_image=("IMAGE", {}),
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
        start_image: Tensor | None = None,
        clip_vision_output: VisionOutput | None = None,
    ) -> Result:
        """Several pictures are the first frames. Without one the film is of the text alone."""
        options: dict[str, Any] = {}
        if start_image is not None:
            options = start_and_end(vae, (width, height, length), start_image, None)
        options |= seen(clip_vision_output)
        return (
            with_options(positive, options),
            with_options(negative, options),
            empty_latent(batch_size, length, width, height),
        )


class WanFunInpaintToVideo(WanNode):
    """Tells a model how its film begins and ends."""

    OPTIONAL = inputs(
        clip_vision_output=("CLIP_VISION_OUTPUT", {}),
        start_image=("IMAGE", {}),
        end_image=("IMAGE", {}),
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
        start_image: Tensor | None = None,
        end_image: Tensor | None = None,
        clip_vision_output: VisionOutput | None = None,
    ) -> Result:
        """Several pictures are the first, or the last, frames."""
        options = start_and_end(vae, (width, height, length), start_image, end_image)
        options |= seen(clip_vision_output)
        return (
            with_options(positive, options),
            with_options(negative, options),
            empty_latent(batch_size, length, width, height),
        )


class WanFirstLastFrameToVideo(WanNode):
    """Tells a model how its film begins and ends, and what an image encoder says of both."""

    OPTIONAL = inputs(
        clip_vision_start_image=("CLIP_VISION_OUTPUT", {}),
        clip_vision_end_image=("CLIP_VISION_OUTPUT", {}),
        start_image=("IMAGE", {}),
        end_image=("IMAGE", {}),
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
        start_image: Tensor | None = None,
        end_image: Tensor | None = None,
        clip_vision_start_image: VisionOutput | None = None,
        clip_vision_end_image: VisionOutput | None = None,
    ) -> Result:
        """Several pictures are the first, or the last, frames."""
        options = start_and_end(vae, (width, height, length), start_image, end_image)
        options |= seen(clip_vision_start_image, clip_vision_end_image)
        return (
            with_options(positive, options),
            with_options(negative, options),
            empty_latent(batch_size, length, width, height),
        )


class Wan22ImageToVideoLatent(SchemaNode):
    """A film for Wan 2.2's small model whose first frames are given."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_wan"
    CATEGORY = "conditioning/inpaint"
    REQUIRED = inputs(
        vae=("VAE", {}),
        width=pixels(1280, least=32, step=32),
        height=pixels(704, least=32, step=32),
        length=frame_count(49),
        batch_size=BATCH,
    )
    OPTIONAL = inputs(start_image=("IMAGE", {}))
    RETURN_TYPES = ("LATENT",)

    def run(
        self,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        start_image: Tensor | None = None,
    ) -> tuple[Latent]:
        """[B, 48, t, height / 16, width / 16]; the noise mask is 0 on what is given."""
        empty = empty_latent(batch_size, length, width, height, channels=48, scale=16)
        if start_image is None:
            return (empty,)
        given = encoded(vae, whole_latent_frames(fitted(start_image, width, height, length)))
        return (beginning(empty, given),)
