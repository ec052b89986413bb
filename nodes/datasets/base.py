"""What the nodes for datasets share."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nodes.saved_images import to_picture
from nodes.schema import SchemaNode

SEED: Final = ("INT", {"default": 0, "min": 0, "max": 2**64 - 1})
_SEEDS: Final = 2**32 - 1  # that numpy's generator of old takes


class DatasetNode(SchemaNode):
    """One node for datasets; ComfyUI has them on trial."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_dataset"
    CATEGORY = "dataset"
    EXPERIMENTAL = True


def generator(seed: int) -> np.random.RandomState:
    """The source of chance of a seed: numpy's legacy stream, which never changes."""
    return np.random.RandomState(seed % _SEEDS)


def to_image(picture: Image.Image) -> Tensor:
    """A picture as IMAGE [1, H, W, C]."""
    array = np.array(picture, dtype=np.float32) / 255
    return torch.from_numpy(array.reshape(1, *array.shape[:2], -1))


def resized(image: Tensor, width: int, height: int) -> Tensor:
    """Images [B, H, W, C] at another size, by Lanczos through 8 bits as Pillow does it."""
    size = (width, height)
    pictures = [to_picture(x).resize(size, Image.Resampling.LANCZOS) for x in image]
    return torch.cat([to_image(picture) for picture in pictures])
