"""Nodes that work on the frames of video latents."""

from __future__ import annotations

from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent, with_samples


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
