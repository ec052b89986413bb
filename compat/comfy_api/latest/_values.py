"""The Python types of what travels on links."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

from torch import Tensor

from nodes.video_files import (
    VideoCodec,
    VideoComponents,
    VideoContainer,
    VideoFromComponents,
    VideoFromFile,
    VideoFromList,
    VideoInput,
)

ImageInput: TypeAlias = Tensor
MaskInput: TypeAlias = Tensor
LatentInput: TypeAlias = dict[str, Any]


class AudioInput(TypedDict):
    """Sounds [B, C, T] and their rate."""

    waveform: Tensor
    sample_rate: int


class MESH:
    """A surface of triangles: vertices [B, N, 3], faces [B, M, 3]."""

    def __init__(self, vertices: Tensor, faces: Tensor, **more: Any) -> None:
        self.vertices = vertices
        self.faces = faces
        self.__dict__.update(more)


class VOXEL:
    """A grid of densities."""

    def __init__(self, data: Tensor, **more: Any) -> None:
        self.data = data
        self.__dict__.update(more)


class SPLAT:
    """Gaussians in space: a tensor for each property."""

    def __init__(self, **properties: Any) -> None:
        self.__dict__.update(properties)


class File3D:
    """A model file, by path or in memory."""

    def __init__(self, source: Any, file_format: str = "") -> None:
        self.source = source
        self.format = file_format or str(source).rpartition(".")[2].lower()


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
