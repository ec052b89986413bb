"""The Python types of what travels on links."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

from torch import Tensor

from nodes import gaussians, shapes
from nodes.video_files import (
    VideoCodec,
    VideoComponents,
    VideoContainer,
    VideoFromComponents,
    VideoFromFile,
    VideoInput,
)
from nodes.video_joining import VideoFromList

MESH = shapes.Mesh
VOXEL = shapes.Voxel
File3D = shapes.File3D
SPLAT = gaussians.Splat

ImageInput: TypeAlias = Tensor
MaskInput: TypeAlias = Tensor
LatentInput: TypeAlias = dict[str, Any]


class AudioInput(TypedDict):
    """Sounds [B, C, T] and their rate."""

    waveform: Tensor
    sample_rate: int


class Input:
    """Names of input values, for annotations."""

    Image: TypeAlias = ImageInput
    Audio: TypeAlias = AudioInput
    Mask: TypeAlias = MaskInput
    Latent: TypeAlias = LatentInput
    Video: TypeAlias = VideoInput


class InputImpl:
    """Classes of values that nodes make."""

    VideoFromFile = VideoFromFile
    VideoFromComponents = VideoFromComponents
    VideoFromList = VideoFromList


class Types:
    """Classes that describe values."""

    VideoCodec = VideoCodec
    VideoContainer = VideoContainer
    VideoComponents = VideoComponents
    MESH = MESH
    VOXEL = VOXEL
    SPLAT = SPLAT
    File3D = File3D
