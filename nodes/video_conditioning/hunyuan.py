"""HunyuanVideo and Kandinsky 5: films that begin with a picture.

Layouts are those of diffusers' HunyuanVideoImageToVideoPipeline, HunyuanVideo15ImageToVideoPipeline
and Kandinsky5I2VPipeline.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from models.conditioning import Conditioning, with_options
from models.vision import VisionOutput
from nodes.base import inputs
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent
from nodes.video_conditioning.base import Result, seen
from nodes.video_conditioning.frames import (
    BATCH,
    beginning,
    empty_latent,
    encoded,
    fitted,
    frame_count,
    frame_mask,
    pixels,
    whole_latent_frames,
)

_CONCAT, _REPLACE, _CUSTOM = "v1 (concat)", "v2 (replace)", "custom"


class HunyuanImageToVideo(SchemaNode):
    """Tells HunyuanVideo how its film begins."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_hunyuan"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        vae=("VAE", {}),
        width=pixels(848),
        height=pixels(480),
        length=frame_count(53),
        batch_size=BATCH,
        guidance_type=([_CONCAT, _REPLACE, _CUSTOM],),
    )
    OPTIONAL = inputs(start_image=("IMAGE", {}))
    RETURN_TYPES = ("CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "latent")

    def run(
        self,
        positive: Conditioning,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        guidance_type: str,
        start_image: Tensor | None = None,
    ) -> tuple[Conditioning, Latent]:
        """The picture as further channels, as the first frame, or as a picture to refer to.

        The last is HunyuanCustom's way (Hu et al. 2025, arXiv:2505.04512).
        """
        latent = empty_latent(batch_size, length, width, height)
        if start_image is None:
            return positive, latent
        given = encoded(vae, whole_latent_frames(fitted(start_image, width, height, length)))
        if guidance_type == _REPLACE:
            return with_options(positive, {"guiding_frame_index": 0}), beginning(latent, given)
        if guidance_type == _CUSTOM:
            return with_options(positive, {"ref_latent": given}), latent
        return with_options(positive, _as_channels(latent["samples"], given)), latent


def _as_channels(film: Tensor, given: Tensor) -> dict[str, Any]:
    """The options for the frames that are given as further channels, zeros after them."""
    shown = beginning({"samples": torch.zeros_like(film[:1])}, given)["samples"]
    return {"concat_latent_image": shown, "concat_mask": frame_mask(shown, given.shape[2])}


class HunyuanVideo15ImageToVideo(SchemaNode):
    """Tells HunyuanVideo 1.5 how its film begins."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_hunyuan"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        vae=("VAE", {}),
        width=pixels(848),
        height=pixels(480),
        length=frame_count(33),
        batch_size=BATCH,
    )
    OPTIONAL = inputs(start_image=("IMAGE", {}), clip_vision_output=("CLIP_VISION_OUTPUT", {}))
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

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
        """The picture is the first frame among further channels."""
        latent = empty_latent(batch_size, length, width, height, channels=32, scale=16)
        options = seen(clip_vision_output)
        if start_image is not None:
            film = whole_latent_frames(fitted(start_image, width, height, length))
            options |= _as_channels(latent["samples"], encoded(vae, film))
        return with_options(positive, options), with_options(negative, options), latent


class Kandinsky5ImageToVideo(SchemaNode):
    """Has a film of Kandinsky 5 begin with a picture."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_kandinsky5"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        vae=("VAE", {}),
        width=pixels(768),
        height=pixels(512),
        length=frame_count(121),
        batch_size=BATCH,
    )
    OPTIONAL = inputs(start_image=("IMAGE", {}))
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent", "cond_latent")

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
    ) -> tuple[Conditioning, Conditioning, Latent, Latent]:
        """The latent holds the picture, which the noise leaves alone; the last output is it alone.

        Further channels of zeros and a mask tell the model which frames it may trust.
        """
        latent = empty_latent(batch_size, length, width, height)
        if start_image is None:
            return positive, negative, latent, latent
        given = encoded(vae, whole_latent_frames(fitted(start_image, width, height, length)))
        nothing = torch.zeros_like(latent["samples"][:1])
        options = {
            "concat_latent_image": nothing,
            "concat_mask": frame_mask(nothing, given.shape[2]),
        }
        return (
            with_options(positive, options),
            with_options(negative, options),
            beginning(latent, given),
            {"samples": given},
        )
