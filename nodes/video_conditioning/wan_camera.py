"""Wan's models whose camera moves as it is told, with the layout of VideoX-Fun."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from models.conditioning import Conditioning, with_options
from models.errors import InvalidInput
from models.vision import VisionOutput
from nodes.base import inputs
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.camera_paths import MOTIONS, camera_path, rays
from nodes.video_conditioning.base import Result, WanNode, seen
from nodes.video_conditioning.frames import (
    FRAMES,
    empty_latent,
    frame_count,
    latent_frames,
    pixels,
    start_and_end,
)


class WanCameraEmbedding(SchemaNode):
    """Says how a camera moves."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_camera_trajectory"
    CATEGORY = "camera"
    REQUIRED = inputs(
        camera_pose=(list(MOTIONS), {"default": "Static"}),
        width=pixels(832),
        height=pixels(480),
        length=frame_count(81),
    )
    OPTIONAL = inputs(
        speed=("FLOAT", {"default": 1.0, "min": 0, "max": 10.0, "step": 0.1}),
        fx=("FLOAT", {"default": 0.5, "min": 0, "max": 1, "step": 1e-09}),
        fy=("FLOAT", {"default": 0.5, "min": 0, "max": 1, "step": 1e-09}),
        cx=("FLOAT", {"default": 0.5, "min": 0, "max": 1, "step": 0.01}),
        cy=("FLOAT", {"default": 0.5, "min": 0, "max": 1, "step": 0.01}),
    )
    RETURN_TYPES = ("WAN_CAMERA_EMBEDDING", "INT", "INT", "INT")
    RETURN_NAMES = ("camera_embedding", "width", "height", "length")

    def run(
        self,
        camera_pose: str,
        width: int,
        height: int,
        length: int,
        speed: float = 1.0,
        fx: float = 0.5,
        fy: float = 0.5,
        cx: float = 0.5,
        cy: float = 0.5,
    ) -> tuple[Tensor, int, int, int]:
        """[1, 6 * 4, t, height, width]: the rays of the frames that a latent frame stands for.

        Raises InvalidInput for a focal length of 0.
        """
        if min(fx, fy) <= 0:
            raise InvalidInput("a camera has a focal length (fx, fy) above 0")
        cameras = camera_path(camera_pose, length, speed)
        seen_rays = rays(cameras, width, height, (fx, fy), (cx, cy))
        whole = seen_rays[:, : (latent_frames(length) - 1) * FRAMES + 1]
        first = whole[:, :1].expand(-1, FRAMES - 1, -1, -1)  # it alone is a latent frame
        by_latent = torch.cat([first, whole], dim=1).unfold(1, FRAMES, FRAMES)  # 6 t h w 4
        packed = by_latent.permute(0, 4, 1, 2, 3).flatten(0, 1)
        return packed[None].contiguous(), width, height, length


class WanCameraImageToVideo(WanNode):
    """Tells a model how its film begins, and how the camera moves."""

    OPTIONAL = inputs(
        clip_vision_output=("CLIP_VISION_OUTPUT", {}),
        start_image=("IMAGE", {}),
        camera_conditions=("WAN_CAMERA_EMBEDDING", {}),
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
        camera_conditions: Tensor | None = None,
    ) -> Result:
        """Raises InvalidInput for the movement of a film of another size or length."""
        latent = empty_latent(batch_size, length, width, height)
        options: dict[str, Any] = {}
        if start_image is not None:
            options = start_and_end(vae, (width, height, length), start_image, None)
        if camera_conditions is not None:
            expected = (latent["samples"].shape[2], height, width)
            if camera_conditions.shape[2:] != expected:
                raise InvalidInput(
                    "the camera moves in a film of another size or length: link width, height "
                    "and length of WanCameraEmbedding"
                )
            options["camera_conditions"] = camera_conditions
        options |= seen(clip_vision_output)
        return with_options(positive, options), with_options(negative, options), latent
