"""Empty latents of sounds."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import torch

from nodes.base import inputs
from nodes.schema import SchemaNode

_RATE: Final = 44100  # samples a second of the models below
_BATCH: Final = ("INT", {"default": 1, "min": 1, "max": 4096})


class _EmptyLatent(SchemaNode):
    CATEGORY = "latent/audio"
    RETURN_TYPES = ("LATENT",)


class EmptyLatentAudio(_EmptyLatent):
    """A latent of zeros for Stable Audio."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_audio"
    DISPLAY_NAME = "Empty Latent Audio"
    REQUIRED = inputs(
        seconds=("FLOAT", {"default": 47.6, "min": 1.0, "max": 1000.0, "step": 0.1}),
        batch_size=_BATCH,
    )

    def run(self, seconds: float, batch_size: int) -> tuple[dict[str, Any]]:
        """64 channels; an even number of frames of 2048 samples."""
        length = round(seconds * _RATE / 2048 / 2) * 2
        return ({"samples": torch.zeros(batch_size, 64, length), "type": "audio"},)


class EmptyAceStepLatentAudio(_EmptyLatent):
    """A latent of zeros for ACE-Step."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_ace"
    REQUIRED = inputs(
        seconds=("FLOAT", {"default": 120.0, "min": 1.0, "max": 1000.0, "step": 0.1}),
        batch_size=_BATCH,
    )

    def run(self, seconds: float, batch_size: int) -> tuple[dict[str, Any]]:
        """8 channels of 16 bands; 8 frames of 512 samples are one step."""
        length = int(seconds * _RATE / 512 / 8)
        return ({"samples": torch.zeros(batch_size, 8, 16, length), "type": "audio"},)


class EmptyAceStep15LatentAudio(_EmptyLatent):
    """A latent of zeros for ACE-Step 1.5."""

    NODE_NAME = "EmptyAceStep1.5LatentAudio"
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_ace"
    DISPLAY_NAME = "Empty Ace Step 1.5 Latent Audio"
    REQUIRED = inputs(
        seconds=("FLOAT", {"default": 120.0, "min": 1.0, "max": 1000.0, "step": 0.01}),
        batch_size=_BATCH,
    )

    def run(self, seconds: float, batch_size: int) -> tuple[dict[str, Any]]:
        """64 channels; frames of 1920 samples of 48 kHz."""
        length = round(seconds * 48000 / 1920)
        return ({"samples": torch.zeros(batch_size, 64, length), "type": "audio"},)


class EmptyYuE2LatentAudio(_EmptyLatent):
    """A latent of zeros for YuE2."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_yue2"
    DISPLAY_NAME = "Empty YuE2 Latent Audio"
    REQUIRED = inputs(
        seconds=("FLOAT", {"default": 120.0, "min": 0.04, "max": 1000.0, "step": 0.04}),
        batch_size=_BATCH,
    )

    def run(self, seconds: float, batch_size: int) -> tuple[dict[str, Any]]:
        """64 channels; frames of 1920 samples of 48 kHz, one at least.

        Samplers give a latent of zeros as many channels as the model has.
        """
        length = max(1, round(seconds * 48000 / 1920))
        return ({"samples": torch.zeros(batch_size, 64, length), "type": "audio"},)


class EmptyMiniMaxMusic3LatentAudio(_EmptyLatent):
    """A latent of zeros for MiniMax Music 3."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_minimax_music3"
    DISPLAY_NAME = "Empty MiniMax Music 3 Latent Audio"
    REQUIRED = inputs(
        seconds=("FLOAT", {"default": 120.0, "min": 0.04, "step": 0.04}),
        batch_size=_BATCH,
    )

    def run(self, seconds: float, batch_size: int) -> tuple[dict[str, Any]]:
        """128 channels; what the sound's frames of 1/25 s make in pieces of 512 samples."""
        frames = max(1, round(seconds * 25))  # as the language model counts them
        length = max(1, int(frames * _RATE / 25 / 512))
        return ({"samples": torch.zeros(batch_size, 128, length), "type": "audio"},)
