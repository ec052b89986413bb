"""Nodes that make, change and measure sounds (AUDIO: `{"waveform": [B, C, T], "sample_rate"}`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.decoded_media import Allowance
from nodes.schema import SchemaNode
from nodes.sound_files import Sound, needed, resample, same_channels

_COMBINATIONS: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "add": torch.add,
    "mean": lambda first, second: (first + second) / 2,
    "subtract": torch.sub,
    "multiply": torch.mul,
}


class _AudioNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_audio"
    CATEGORY = "audio"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("AUDIO",)


class EmptyAudio(_AudioNode):
    """Silence."""

    DISPLAY_NAME = "Empty Audio"
    REQUIRED = inputs(
        duration=("FLOAT", {"default": 60.0, "min": 0.0, "max": 2**64 - 1, "step": 0.01}),
        sample_rate=("INT", {"default": 44100, "min": 1, "max": 192000}),
        channels=("INT", {"default": 2, "min": 1, "max": 2}),
    )

    def run(self, duration: float, sample_rate: int, channels: int) -> tuple[Sound]:
        """`duration` is in seconds. Raises MediaTooLarge."""
        Allowance("this silence").take(round(duration * sample_rate) * channels * 4)
        waveform = torch.zeros(1, channels, round(duration * sample_rate))
        return ({"waveform": waveform, "sample_rate": sample_rate},)


class TrimAudioDuration(_AudioNode):
    """Cuts a part out of a sound."""

    DISPLAY_NAME = "Trim Audio Duration"
    REQUIRED = inputs(
        audio=("AUDIO",),
        start_index=(
            "FLOAT",
            {"default": 0.0, "min": -(2**64 - 1), "max": 2**64 - 1, "step": 0.01},
        ),
        duration=("FLOAT", {"default": 60.0, "min": 0.0, "step": 0.01}),
    )

    def run(self, audio: Sound, start_index: float, duration: float) -> tuple[Sound]:
        """Seconds; a negative start counts from the end. Raises ValueError for an empty part."""
        waveform, rate = needed(audio)["waveform"], audio["sample_rate"]
        length = waveform.shape[-1]
        start = round(start_index * rate) + (length if start_index < 0 else 0)
        start = max(0, start)
        end = min(length, start + round(duration * rate))
        if start >= end:
            raise ValueError(
                f"nothing is left of the sound: it lasts {length / rate:g} s, and {duration:g} s "
                f"from {start_index:g} s on were asked for"
            )
        return ({"waveform": waveform[..., start:end], "sample_rate": rate},)


class SplitAudioChannels(_AudioNode):
    """Makes two sounds of the sides of one."""

    DISPLAY_NAME = "Split Audio Channels"
    REQUIRED = inputs(audio=("AUDIO",))
    RETURN_TYPES = ("AUDIO", "AUDIO")
    RETURN_NAMES = ("left", "right")

    def run(self, audio: Sound) -> tuple[Sound, Sound]:
        """Raises ValueError for a sound that has not two channels."""
        waveform, rate = needed(audio)["waveform"], audio["sample_rate"]
        if waveform.shape[1] != 2:
            raise ValueError(
                f"only stereo can be split; this sound has {waveform.shape[1]} channel"
            )
        left, right = waveform[:, :1], waveform[:, 1:]
        return {"waveform": left, "sample_rate": rate}, {"waveform": right, "sample_rate": rate}


class JoinAudioChannels(_AudioNode):
    """Makes one sound of two sides."""

    DISPLAY_NAME = "Join Audio Channels"
    REQUIRED = inputs(audio_left=("AUDIO",), audio_right=("AUDIO",))

    def run(self, audio_left: Sound, audio_right: Sound) -> tuple[Sound]:
        """The longer side is cut; sides that are no mono sounds are mixed down first."""
        left, right, rate = _same_rate(audio_left, audio_right)
        length = min(left.shape[-1], right.shape[-1])
        sides = [side[..., :length].mean(dim=1, keepdim=True) for side in (left, right)]
        return ({"waveform": torch.cat(same_channels(sides), dim=1), "sample_rate": rate},)


class AudioConcat(_AudioNode):
    """Puts one sound behind another."""

    DISPLAY_NAME = "Audio Concat"
    REQUIRED = inputs(
        audio1=("AUDIO",),
        audio2=("AUDIO",),
        direction=(["after", "before"], {"default": "after"}),
    )

    def run(self, audio1: Sound, audio2: Sound, direction: str) -> tuple[Sound]:
        """The second after or before the first, at the higher of their rates."""
        first, second, rate = _same_rate(audio1, audio2)
        first, second = same_channels((first, second))
        parts = (first, second) if direction == "after" else (second, first)
        return ({"waveform": torch.cat(parts, dim=-1), "sample_rate": rate},)


class AudioMerge(_AudioNode):
    """Lays one sound over another."""

    DISPLAY_NAME = "Audio Merge"
    REQUIRED = inputs(audio1=("AUDIO",), audio2=("AUDIO",), merge_method=(list(_COMBINATIONS),))

    def run(self, audio1: Sound, audio2: Sound, merge_method: str) -> tuple[Sound]:
        """As long as the first. What would be louder than 1 is turned down as a whole."""
        first, second, rate = _same_rate(audio1, audio2)
        first, second = same_channels((first, second))
        length = first.shape[-1]
        missing = max(0, length - second.shape[-1])
        second = torch.nn.functional.pad(second[..., :length], (0, missing))
        merged = _COMBINATIONS[merge_method](first, second)
        loudest = merged.abs().max() if merged.numel() else merged.new_zeros(())
        return ({"waveform": merged / loudest.clamp(min=1.0), "sample_rate": rate},)


class AudioAdjustVolume(_AudioNode):
    """Makes a sound louder or softer."""

    DISPLAY_NAME = "Audio Adjust Volume"
    REQUIRED = inputs(audio=("AUDIO",), volume=("INT", {"default": 1, "min": -100, "max": 100}))

    def run(self, audio: Sound, volume: int) -> tuple[Sound]:
        """`volume` is in decibels; 0 changes nothing."""
        gain = 10 ** (volume / 20)
        return (
            {"waveform": needed(audio)["waveform"] * gain, "sample_rate": audio["sample_rate"]},
        )


def _same_rate(first: Sound, second: Sound) -> tuple[Tensor, Tensor, int]:
    """Both at the higher of their rates."""
    first, second = needed(first), needed(second)
    rate = max(first["sample_rate"], second["sample_rate"])
    one, other = (resample(x["waveform"], x["sample_rate"], rate) for x in (first, second))
    return one, other, rate
