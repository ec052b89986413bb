"""Nodes that have WanDancer make a long film in segments from few pictures of all of it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.sound_files import Sound


class WanDancerPadKeyframesList(SchemaNode):
    """Divides pictures of a whole film, and its sound, among segments of it."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_wandancer"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        images=("IMAGE",),
        segment_length=("INT", {"default": 149, "min": 1, "max": 10000}),
        num_segments=("INT", {"default": 1, "min": 1, "max": 100}),
    )
    OPTIONAL = inputs(audio=("AUDIO",))
    RETURN_TYPES = ("IMAGE", "MASK", "AUDIO")
    RETURN_NAMES = ("keyframes_sequence", "keyframes_mask", "audio_segment")
    OUTPUT_IS_LIST: ClassVar[tuple[bool, ...]] = (True, True, True)

    def run(
        self,
        images: Tensor,
        segment_length: int,
        num_segments: int,
        audio: Sound | None = None,
    ) -> tuple[list[Tensor], list[Tensor], list[Sound | None]]:
        """Each segment is black but for its pictures, at the frames that they are of.

        The pictures are taken at even distances from the film's first frame to its last. The masks
        [segment_length, H, W] are 1 where a frame has one. Without a sound its segments are None.
        """
        total = segment_length * num_segments
        places = torch.linspace(0, total - 1, len(images), dtype=torch.float64).round().long()
        film = images.new_zeros(total, *images.shape[1:])
        film[places] = images
        given = images.new_zeros(total, *images.shape[1:3])
        given[places] = 1
        return (
            list(torch.split(film, segment_length)),
            list(torch.split(given, segment_length)),
            [None] * num_segments if audio is None else _segments(audio, num_segments),
        )


def _segments(audio: Sound, count: int) -> list[Sound | None]:
    """A sound in parts of one length; what is missing to the last one is silent."""
    waveform = audio["waveform"]
    length = -(-waveform.shape[-1] // count)
    missing = length * count - waveform.shape[-1]
    padded = torch.nn.functional.pad(waveform, (0, missing))
    return [{**audio, "waveform": part} for part in torch.split(padded, length, dim=-1)]
