"""Latents of zeros, which sampling starts from, for models that EmptyLatentImage does not serve.

Sizes are in pixels and frames; each class knows how many of them one latent element stands for.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from nodes.base import MAX_RESOLUTION, Declared, inputs
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent

_BATCH: Declared = ("INT", {"default": 1, "min": 1, "max": 4096})


def _size(default: int, *, least: int = 16, step: int = 16) -> Declared:
    return ("INT", {"default": default, "min": least, "max": MAX_RESOLUTION, "step": step})


def _frames(default: int, *, step: int, least: int = 1) -> Declared:
    return ("INT", {"default": default, "min": least, "max": MAX_RESOLUTION, "step": step})


class _EmptyImage(SchemaNode):
    """[B, CHANNELS, height / PIXELS, width / PIXELS]."""

    CHANNELS: ClassVar[int]
    PIXELS: ClassVar[int]  # per element along each side
    CATEGORY = "latent"
    REQUIRED = inputs(width=_size(1024), height=_size(1024), batch_size=_BATCH)
    RETURN_TYPES = ("LATENT",)

    def run(self, width: int, height: int, batch_size: int = 1) -> tuple[Latent]:
        """What does not fill an element is cut off."""
        sides = (height // self.PIXELS, width // self.PIXELS)
        return ({"samples": torch.zeros(batch_size, self.CHANNELS, *sides)},)


class _EmptyVideo(SchemaNode):
    """[B, CHANNELS, 1 + (frames - 1) / FRAMES, height / PIXELS, width / PIXELS]."""

    CHANNELS: ClassVar[int]
    PIXELS: ClassVar[int]
    FRAMES: ClassVar[int]  # per element, after the first, which has its own
    CATEGORY = "latent/video"
    RETURN_TYPES = ("LATENT",)

    def run(self, width: int, height: int, length: int, batch_size: int = 1) -> tuple[Latent]:
        """What does not fill an element is cut off."""
        frames = (length - 1) // self.FRAMES + 1
        sides = (height // self.PIXELS, width // self.PIXELS)
        return ({"samples": torch.zeros(batch_size, self.CHANNELS, frames, *sides)},)


class EmptySD3LatentImage(_EmptyImage):
    """For Stable Diffusion 3, Flux and others with 16 channels."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sd3"
    CATEGORY = "latent/sd3"
    CHANNELS = 16
    PIXELS = 8


class EmptyFlux2LatentImage(_EmptyImage):
    """For Flux 2."""

    DISPLAY_NAME = "Empty Flux 2 Latent"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_flux"
    CHANNELS = 128
    PIXELS = 16


class EmptyHunyuanImageLatent(_EmptyImage):
    """For HunyuanImage 2.1."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hunyuan"
    REQUIRED = inputs(
        width=_size(2048, least=64, step=32),
        height=_size(2048, least=64, step=32),
        batch_size=_BATCH,
    )
    CHANNELS = 64
    PIXELS = 32


class EmptyChromaRadianceLatentImage(_EmptyImage):
    """For Chroma Radiance, which works on pixels."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_chroma_radiance"
    CATEGORY = "latent/chroma_radiance"
    CHANNELS = 3
    PIXELS = 1


class EmptyHiDreamO1LatentImage(_EmptyImage):
    """For HiDream-O1, which works on pixels."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hidream_o1"
    REQUIRED = inputs(
        width=("INT", {"default": 2048, "min": 64, "max": 4096, "step": 32}),
        height=("INT", {"default": 2048, "min": 64, "max": 4096, "step": 32}),
        batch_size=("INT", {"default": 1, "min": 1, "max": 64}),
    )
    CHANNELS = 3
    PIXELS = 1


class EmptyHunyuanLatentVideo(_EmptyVideo):
    """For HunyuanVideo, Wan 2.1 and others with 16 channels and 4 frames an element."""

    DISPLAY_NAME = "Empty HunyuanVideo 1.0 Latent"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hunyuan"
    REQUIRED = inputs(
        width=_size(848), height=_size(480), length=_frames(25, step=4), batch_size=_BATCH
    )
    CHANNELS = 16
    PIXELS = 8
    FRAMES = 4


class EmptyHunyuanVideo15Latent(EmptyHunyuanLatentVideo):
    """For HunyuanVideo 1.5."""

    DISPLAY_NAME = "Empty HunyuanVideo 1.5 Latent"
    CHANNELS = 32
    PIXELS = 16


class EmptyLTXVLatentVideo(_EmptyVideo):
    """For LTX-Video."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt"
    CATEGORY = "latent/video/ltxv"
    REQUIRED = inputs(
        width=_size(768, least=64, step=32),
        height=_size(512, least=64, step=32),
        length=_frames(97, step=8),
        batch_size=_BATCH,
    )
    CHANNELS = 128
    PIXELS = 32
    FRAMES = 8


class EmptyMochiLatentVideo(_EmptyVideo):
    """For Mochi 1."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_mochi"
    REQUIRED = inputs(
        width=_size(848), height=_size(480), length=_frames(25, least=7, step=6), batch_size=_BATCH
    )
    CHANNELS = 12
    PIXELS = 8
    FRAMES = 6


class EmptyCosmosLatentVideo(_EmptyVideo):
    """For Cosmos 1."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_cosmos"
    REQUIRED = inputs(
        width=_size(1280), height=_size(704), length=_frames(121, step=8), batch_size=_BATCH
    )
    CHANNELS = 16
    PIXELS = 8
    FRAMES = 8


class EmptyQwenImageLayeredLatentImage(SchemaNode):
    """For Qwen-Image-Layered: the whole picture and its layers, in place of frames."""

    DISPLAY_NAME = "Empty Qwen Image Layered Latent"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_qwen"
    CATEGORY = "latent/qwen"
    REQUIRED = inputs(
        width=_size(640),
        height=_size(640),
        layers=("INT", {"default": 3, "min": 0, "max": MAX_RESOLUTION, "step": 1}),
        batch_size=_BATCH,
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, width: int, height: int, layers: int, batch_size: int = 1) -> tuple[Latent]:
        """[B, 16, 1 + layers, height / 8, width / 8]."""
        return ({"samples": torch.zeros(batch_size, 16, layers + 1, height // 8, width // 8)},)


class StableCascade_EmptyLatentImage(SchemaNode):
    """For both stages of Stable Cascade."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_stable_cascade"
    CATEGORY = "latent/stable_cascade"
    REQUIRED = inputs(
        width=_size(1024, least=256, step=8),
        height=_size(1024, least=256, step=8),
        compression=("INT", {"default": 42, "min": 4, "max": 128, "step": 1}),
        batch_size=_BATCH,
    )
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("stage_c", "stage_b")

    def run(
        self, width: int, height: int, compression: int, batch_size: int = 1
    ) -> tuple[Latent, Latent]:
        """[B, 16, height / compression, width / compression] and [B, 4, height / 4, width / 4]."""
        stage_c = torch.zeros(batch_size, 16, height // compression, width // compression)
        return {"samples": stage_c}, {
            "samples": torch.zeros(batch_size, 4, height // 4, width // 4)
        }


class EmptyLatentHunyuan3Dv2(SchemaNode):
    """For Hunyuan3D 2: a set of vectors that stand for a shape."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hunyuan3d"
    CATEGORY = "latent/3d"
    REQUIRED = inputs(
        resolution=("INT", {"default": 3072, "min": 1, "max": 8192}), batch_size=_BATCH
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, resolution: int, batch_size: int = 1) -> tuple[Latent]:
        """[B, 64, resolution]."""
        return (_typed(torch.zeros(batch_size, 64, resolution), "hunyuan3dv2"),)


class EmptyTrellis2LatentStructure(SchemaNode):
    """For the first stage of TRELLIS.2: a cube that says where there is something."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_trellis2"
    CATEGORY = "latent/3d"
    REQUIRED = inputs(batch_size=_BATCH)
    RETURN_TYPES = ("LATENT",)

    def run(self, batch_size: int = 1) -> tuple[Latent]:
        """[B, 32, 16, 16, 16]."""
        return (_typed(torch.zeros(batch_size, 32, 16, 16, 16), "trellis2"),)


def _typed(samples: Tensor, kind: str, **more: Any) -> Latent:
    """A latent that is no picture says so."""
    return {"samples": samples, "type": kind, **more}
