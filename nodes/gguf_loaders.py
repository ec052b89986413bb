"""Nodes that load diffusion models and text encoders from GGUF files.

They have the names and inputs of the well-known pack for such files, whose workflows so run.
"""

from __future__ import annotations

from models.handle import ModelHandle
from nodes.base import FileOptions, Node, inputs
from nodes.part_loaders import UNETLoader
from nodes.text_loaders import CLIPLoader

_CATEGORY = "bootleg"


class UnetLoaderGGUF(Node):
    """Loads a diffusion model from a GGUF file."""

    DISPLAY_NAME = "Unet Loader (GGUF)"
    CATEGORY = _CATEGORY
    REQUIRED = inputs(unet_name=(FileOptions("unet_gguf"),))
    RETURN_TYPES = ("MODEL",)

    def run(self, unet_name: str) -> tuple[ModelHandle]:
        """Weights stay quantised in memory."""
        return UNETLoader().run(unet_name, "default")


class CLIPLoaderGGUF(CLIPLoader):
    """Loads a text encoder from a GGUF file, or from another."""

    DISPLAY_NAME = "CLIPLoader (GGUF)"
    CATEGORY = _CATEGORY
    REQUIRED = inputs(**{**CLIPLoader.REQUIRED, "clip_name": (FileOptions("clip_gguf"),)})
