"""Nodes that work on the frames of video latents."""

from __future__ import annotations

from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent, start_normalized, with_samples


class TrimVideoLatent(SchemaNode):
    """Takes frames off the beginning of a video latent."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_wan"
    CATEGORY = "latent/video"
    REQUIRED = inputs(
        samples=("LATENT",), trim_amount=("INT", {"default": 0, "min": 0, "max": 99999})
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, trim_amount: int) -> tuple[Latent]:
        """In latent frames, of [B, C, T, h, w]."""
        return (with_samples(samples, samples["samples"][:, :, trim_amount:]),)


class NormalizeVideoLatentStart(SchemaNode):
    """Brings contrast and brightness of a film's first frames near those of the next ones."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_kandinsky5"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        latent=("LATENT", {}),
        start_frame_count=("INT", {"default": 4, "min": 1, "max": 16384, "step": 1}),
        reference_frame_count=("INT", {"default": 5, "min": 1, "max": 16384, "step": 1}),
    )
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("latent",)

    def run(
        self, latent: Latent, start_frame_count: int, reference_frame_count: int
    ) -> tuple[Latent]:
        """In latent frames; a film without further frames stays as it is."""
        samples = latent["samples"]
        if samples.shape[2] <= start_frame_count:
            return (latent,)
        return (
            with_samples(
                latent, start_normalized(samples, start_frame_count, reference_frame_count)
            ),
        )
