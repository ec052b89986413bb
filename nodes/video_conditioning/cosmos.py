"""Cosmos: films whose first or last frames are given (NVIDIA 2025, arXiv:2501.03575)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from nodes.base import Inputs, inputs
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent
from nodes.video_conditioning.frames import (
    BATCH,
    beginning,
    empty_latent,
    encoded,
    ending,
    fitted,
    frame_count,
    pixels,
    whole_latent_frames,
)


class _CosmosLatent(SchemaNode):
    """[B, 16, t, height / 8, width / 8], with a noise mask that is 0 on what is given."""

    FRAMES: ClassVar[int]  # that a latent frame stands for, after the first
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_cosmos"
    CATEGORY = "conditioning/inpaint"
    OPTIONAL: ClassVar[Inputs] = inputs(start_image=("IMAGE", {}), end_image=("IMAGE", {}))
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("LATENT",)

    def run(
        self,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        start_image: Tensor | None = None,
        end_image: Tensor | None = None,
    ) -> tuple[Latent]:
        """Several pictures are the first, or the last, frames."""
        latent = empty_latent(batch_size, length, width, height, frames=self.FRAMES)
        if start_image is not None:
            film = fitted(start_image, width, height, length)
            latent = beginning(latent, encoded(vae, whole_latent_frames(film, self.FRAMES)))
        if end_image is not None:
            film = fitted(end_image[-length:], width, height)
            latent = ending(latent, encoded(vae, whole_latent_frames(film, self.FRAMES)))
        return (latent,)


class CosmosImageToVideoLatent(_CosmosLatent):
    """A film for Cosmos 1."""

    FRAMES = 8
    REQUIRED = inputs(
        vae=("VAE", {}),
        width=pixels(1280),
        height=pixels(704),
        length=frame_count(121, step=8),
        batch_size=BATCH,
    )


class CosmosPredict2ImageToVideoLatent(_CosmosLatent):
    """A film for Cosmos Predict 2."""

    FRAMES = 4
    REQUIRED = inputs(
        vae=("VAE", {}),
        width=pixels(848),
        height=pixels(480),
        length=frame_count(93),
        batch_size=BATCH,
    )
