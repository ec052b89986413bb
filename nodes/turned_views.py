"""Nodes that give a picture to models that show it from other sides, or in motion.

Stable Video Diffusion (Blattmann et al. 2023, arXiv:2311.15127) as in diffusers' pipeline of that
name; Zero-1-to-3 (Liu et al. 2023, arXiv:2303.11328) and SV3D (Voleti et al. 2024,
arXiv:2403.12008) as their authors describe them.
"""

from __future__ import annotations

from math import cos, radians, sin
from typing import Any, ClassVar

import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.vision import VisionHandle
from nodes.base import MAX_RESOLUTION, Declared, Node, inputs
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent
from nodes.tensors.pictures import scaled

Result = tuple[Conditioning, Conditioning, Latent]

_STABLE_3D = "comfy_extras.nodes_stable3d"


def _pixels(default: int) -> Declared:
    return ("INT", {"default": default, "min": 16, "max": MAX_RESOLUTION, "step": 8})


def _degrees(most: float) -> Declared:
    return ("FLOAT", {"default": 0.0, "min": -most, "max": most, "step": 0.1, "round": False})


_BATCH: Declared = ("INT", {"default": 1, "min": 1, "max": 4096})
_FRAMES_AT_MOST = 4096


def _told(
    encoder: VisionHandle, vae: Vae | None, image: Tensor, size: tuple[int, int], noise: float = 0.0
) -> tuple[Tensor, Tensor]:
    """What an image encoder says of a picture [1, 1, D], and its latent [1, C, h, w].

    `noise` is the deviation of what is added to pixels in -1..1; it is the same in every run.
    """
    embedded = encoder.encode_image(image[:1], crop=False).image_embeds[:, None]
    pixels = scaled(image[:1, ..., :3], *size, "bilinear", crop=True)
    if noise > 0:
        drawn = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
        pixels = pixels + drawn * noise / 2
    return embedded, need_vae(vae).encode(pixels)


def _both(context: Tensor, latent: Tensor, options: dict[str, Any]) -> tuple[Conditioning, ...]:
    """The positive conditioning, and the negative one, which sees nothing."""
    shown = {"concat_latent_image": latent, **options}
    hidden = {"concat_latent_image": torch.zeros_like(latent), **options}
    return [[context, shown]], [[torch.zeros_like(context), hidden]]


def _empty(count: int, width: int, height: int) -> Latent:
    return {"samples": torch.zeros(count, 4, height // 8, width // 8)}


class SVD_img2vid_Conditioning(Node):
    """Gives Stable Video Diffusion the picture that its film begins with."""

    CATEGORY = "conditioning/video_models"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video_model"
    REQUIRED = inputs(
        clip_vision=("CLIP_VISION",),
        init_image=("IMAGE",),
        vae=("VAE",),
        width=_pixels(1024),
        height=_pixels(576),
        video_frames=("INT", {"default": 14, "min": 1, "max": _FRAMES_AT_MOST}),
        motion_bucket_id=("INT", {"default": 127, "min": 1, "max": 1023}),
        fps=("INT", {"default": 6, "min": 1, "max": 1024}),
        augmentation_level=("FLOAT", {"default": 0.0, "min": 0.0, "max": 10.0, "step": 0.01}),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(
        self,
        clip_vision: VisionHandle,
        init_image: Tensor,
        vae: Vae | None,
        width: int,
        height: int,
        video_frames: int,
        motion_bucket_id: int,
        fps: int,
        augmentation_level: float,
    ) -> Result:
        """[frames, 4, height / 8, width / 8]."""
        context, latent = _told(
            clip_vision, vae, init_image, (width, height), noise=augmentation_level
        )
        options = {
            "motion_bucket_id": motion_bucket_id,
            "fps": fps,
            "augmentation_level": augmentation_level,
        }
        positive, negative = _both(context, latent, options)
        return positive, negative, _empty(video_frames, width, height)


class _Turned(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = _STABLE_3D
    CATEGORY = "conditioning/3d_models"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("positive", "negative", "latent")


def _camera(elevation: float, azimuth: float) -> list[float]:
    """Where Zero-1-to-3 is to look from, from angles in degrees off a picture seen level."""
    turn = radians(azimuth)
    return [radians(-elevation), sin(turn), cos(turn), radians(90.0)]


def _from_cameras(context: Tensor, cameras: list[list[float]]) -> Tensor:
    """[cameras, 1, D + 4]."""
    told = context.new_tensor(cameras)[:, None]
    return torch.cat([context.expand(len(cameras), -1, -1), told], dim=-1)


class StableZero123_Conditioning(_Turned):
    """Has a thing shown from another side."""

    REQUIRED = inputs(
        clip_vision=("CLIP_VISION", {}),
        init_image=("IMAGE", {}),
        vae=("VAE", {}),
        width=_pixels(256),
        height=_pixels(256),
        batch_size=_BATCH,
        elevation=_degrees(180.0),
        azimuth=_degrees(180.0),
    )

    def run(
        self,
        clip_vision: VisionHandle,
        init_image: Tensor,
        vae: Vae | None,
        width: int,
        height: int,
        batch_size: int,
        elevation: float,
        azimuth: float,
    ) -> Result:
        """Angles are in degrees, off those of the picture."""
        context, latent = _told(clip_vision, vae, init_image, (width, height))
        context = _from_cameras(context, [_camera(elevation, azimuth)])
        positive, negative = _both(context, latent, {})
        return positive, negative, _empty(batch_size, width, height)


class StableZero123_Conditioning_Batched(_Turned):
    """Has a thing shown from several other sides."""

    REQUIRED = inputs(
        **StableZero123_Conditioning.REQUIRED,
        elevation_batch_increment=_degrees(180.0),
        azimuth_batch_increment=_degrees(180.0),
    )

    def run(
        self,
        clip_vision: VisionHandle,
        init_image: Tensor,
        vae: Vae | None,
        width: int,
        height: int,
        batch_size: int,
        elevation: float,
        azimuth: float,
        elevation_batch_increment: float,
        azimuth_batch_increment: float,
    ) -> Result:
        """Each further picture of the batch is turned by the increments."""
        context, latent = _told(clip_vision, vae, init_image, (width, height))
        cameras = [
            _camera(
                elevation + step * elevation_batch_increment,
                azimuth + step * azimuth_batch_increment,
            )
            for step in range(batch_size)
        ]
        positive, negative = _both(_from_cameras(context, cameras), latent, {})
        return positive, negative, _empty(batch_size, width, height)


class SV3D_Conditioning(_Turned):
    """Has a camera go round a thing."""

    REQUIRED = inputs(
        clip_vision=("CLIP_VISION", {}),
        init_image=("IMAGE", {}),
        vae=("VAE", {}),
        width=_pixels(576),
        height=_pixels(576),
        video_frames=("INT", {"default": 21, "min": 1, "max": _FRAMES_AT_MOST}),
        elevation=_degrees(90.0),
    )

    def run(
        self,
        clip_vision: VisionHandle,
        init_image: Tensor,
        vae: Vae | None,
        width: int,
        height: int,
        video_frames: int,
        elevation: float,
    ) -> Result:
        """All frames from one height; the options say polar angle and azimuth of each, in degrees.

        The picture is what the last frame shows, at 360 degrees.
        """
        context, latent = _told(clip_vision, vae, init_image, (width, height))
        azimuths = torch.linspace(0, 360, video_frames + 1)[1:]
        options = {"elevation": torch.full_like(azimuths, 90 - elevation), "azimuth": azimuths}
        positive, negative = _both(context, latent, options)
        return positive, negative, _empty(video_frames, width, height)
