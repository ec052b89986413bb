"""Nodes that load diffusion models and text encoders from GGUF files.

They have the names and inputs of the well-known pack for such files, whose workflows so run.
"""

from __future__ import annotations

from typing import Final

from models.handle import ModelHandle
from nodes.base import FileOptions, Node, inputs
from nodes.part_loaders import UNETLoader
from nodes.text_loaders import CLIPLoader, DualCLIPLoader, TripleCLIPLoader

_CATEGORY: Final = "bootleg"
_TEXT: Final = (FileOptions("clip_gguf"),)


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
    REQUIRED = inputs(clip_name=_TEXT, type=CLIPLoader.REQUIRED["type"])


class DualCLIPLoaderGGUF(DualCLIPLoader):
    """Loads two text encoders from GGUF files, or from others."""

    DISPLAY_NAME = "DualCLIPLoader (GGUF)"
    CATEGORY = _CATEGORY
    REQUIRED = inputs(clip_name1=_TEXT, clip_name2=_TEXT, type=DualCLIPLoader.REQUIRED["type"])


class TripleCLIPLoaderGGUF(TripleCLIPLoader):
    """Loads the three text encoders of SD 3 from GGUF files, or from others."""

    DISPLAY_NAME = "TripleCLIPLoader (GGUF)"
    CATEGORY = _CATEGORY
    REQUIRED = inputs(clip_name1=_TEXT, clip_name2=_TEXT, clip_name3=_TEXT)
