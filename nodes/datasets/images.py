"""Nodes that change, sort out and arrange pictures of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nodes.base import inputs
from nodes.datasets.base import SEED, DatasetNode, generator, resized, to_image
from nodes.saved_images import to_picture

_MOST: Final = 8192
_HASH_SIDE: Final = 8  # pixels of the pictures that are compared


class _ImageNode(DatasetNode):
    CATEGORY = "dataset/image"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("images",)
    LATER_NAMES: ClassVar[Mapping[str, str]] = {"image": "images"}


class ResizeImagesByShorterEdge(_ImageNode):
    """Resizes pictures so that the shorter edge has a length."""

    DISPLAY_NAME = "Resize Images by Shorter Edge"
    REQUIRED = inputs(
        images=("IMAGE",), shorter_edge=("INT", {"default": 512, "min": 1, "max": _MOST})
    )

    def run(self, images: Tensor, shorter_edge: int) -> tuple[Tensor]:
        """The ratio stays, but for less than a pixel."""
        height, width = images.shape[1:3]
        return (resized(images, *_scaled(width, height, shorter_edge / min(width, height))),)


class ResizeImagesByLongerEdge(_ImageNode):
    """Resizes pictures so that the longer edge has a length."""

    DISPLAY_NAME = "Resize Images by Longer Edge"
    REQUIRED = inputs(
        images=("IMAGE",), longer_edge=("INT", {"default": 1024, "min": 1, "max": _MOST})
    )

    def run(self, images: Tensor, longer_edge: int) -> tuple[Tensor]:
        """The ratio stays, but for less than a pixel."""
        height, width = images.shape[1:3]
        return (resized(images, *_scaled(width, height, longer_edge / max(width, height))),)


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, int(width * scale)), max(1, int(height * scale))


class CenterCropImages(_ImageNode):
    """Cuts the middle out of pictures."""

    DISPLAY_NAME = "Center Crop Images"
    REQUIRED = inputs(
        images=("IMAGE",),
        width=("INT", {"default": 512, "min": 1, "max": _MOST}),
        height=("INT", {"default": 512, "min": 1, "max": _MOST}),
    )

    def run(self, images: Tensor, width: int, height: int) -> tuple[Tensor]:
        """An edge that is shorter already stays."""
        left, top = max(0, images.shape[2] - width) // 2, max(0, images.shape[1] - height) // 2
        return (_cropped(images, left, top, width, height),)


class RandomCropImages(_ImageNode):
    """Cuts a part out of pictures, somewhere."""

    DISPLAY_NAME = "Random Crop Images"
    REQUIRED = inputs(
        images=("IMAGE",),
        width=("INT", {"default": 512, "min": 1, "max": _MOST}),
        height=("INT", {"default": 512, "min": 1, "max": _MOST}),
        seed=SEED,
    )

    def run(self, images: Tensor, width: int, height: int, seed: int) -> tuple[Tensor]:
        """The same seed cuts the same place out of pictures of one size."""
        chance = generator(seed)
        left = chance.randint(0, max(0, images.shape[2] - width) + 1)
        top = chance.randint(0, max(0, images.shape[1] - height) + 1)
        return (_cropped(images, left, top, width, height),)


def _cropped(images: Tensor, left: int, top: int, width: int, height: int) -> Tensor:
    """A part of the pictures, in steps of 8 bits."""
    part = images[:, top : top + height, left : left + width]
    return (part * 255).clamp(0, 255).to(torch.uint8).float() / 255


class NormalizeImages(_ImageNode):
    """Moves the values of pictures to another mean and spread."""

    DISPLAY_NAME = "Normalize Images"
    REQUIRED = inputs(
        images=("IMAGE",),
        mean=("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0}),
        std=("FLOAT", {"default": 0.5, "min": 0.001, "max": 1.0}),
    )

    def run(self, images: Tensor, mean: float, std: float) -> tuple[Tensor]:
        """(x - mean) / std; nothing is clipped."""
        return ((images - mean) / std,)


class AdjustBrightness(_ImageNode):
    """Makes pictures lighter or darker."""

    DISPLAY_NAME = "Adjust Brightness"
    REQUIRED = inputs(images=("IMAGE",), factor=("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0}))

    def run(self, images: Tensor, factor: float) -> tuple[Tensor]:
        """All values times the factor, clipped."""
        return ((images * factor).clamp(0, 1),)


class AdjustContrast(_ImageNode):
    """Moves the values of pictures away from grey, or towards it."""

    DISPLAY_NAME = "Adjust Contrast"
    REQUIRED = inputs(images=("IMAGE",), factor=("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0}))

    def run(self, images: Tensor, factor: float) -> tuple[Tensor]:
        """Distances to 0.5 times the factor, clipped."""
        return (((images - 0.5) * factor + 0.5).clamp(0, 1),)


class ShuffleDataset(_ImageNode):
    """Puts pictures in another order."""

    DISPLAY_NAME = "Shuffle Image Dataset"
    REQUIRED = inputs(images=("IMAGE",), seed=SEED)
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST = (True,)

    def run(self, images: list[Tensor], seed: list[int]) -> tuple[list[Tensor]]:
        """The same seed gives the same order."""
        order = generator(seed[0]).permutation(len(images))
        return ([images[index] for index in order],)


class ShuffleImageTextDataset(_ImageNode):
    """Puts pictures and their texts in another order."""

    DISPLAY_NAME = "Shuffle Image-Text Dataset"
    REQUIRED = inputs(images=("IMAGE",), texts=("STRING", {"multiline": False}), seed=SEED)
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("images", "texts")
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST = (True, True)

    def run(
        self, images: list[Tensor], texts: list[str], seed: list[int]
    ) -> tuple[list[Tensor], list[str]]:
        """A picture keeps its text. Raises ValueError where one has none."""
        if len(images) != len(texts):
            raise ValueError(f"there are {len(images)} images, but {len(texts)} texts")
        order = generator(seed[0]).permutation(len(images))
        return [images[index] for index in order], [texts[index] for index in order]


class MergeImageLists(_ImageNode):
    """Makes one list of all pictures that are linked to it."""

    DISPLAY_NAME = "Merge Image Lists"
    REQUIRED = inputs(images=("IMAGE",))
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST = (True,)

    def run(self, images: list[Tensor]) -> tuple[list[Tensor]]:
        """The pictures in their order."""
        return (images,)


class ImageDeduplication(_ImageNode):
    """Leaves out pictures that look like another one before them."""

    DISPLAY_NAME = "Image Deduplication"
    REQUIRED = inputs(
        images=("IMAGE",),
        similarity_threshold=("FLOAT", {"default": 0.95, "min": 0.0, "max": 1.0}),
    )
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST = (True,)

    def run(self, images: list[Tensor], similarity_threshold: list[float]) -> tuple[list[Tensor]]:
        """Alike is what agrees in more than that share of its average hash (64 bits)."""
        kept: list[Tensor] = []
        hashes: list[NDArray[np.bool_]] = []
        for image in _singly(images):
            own = _average_hash(image)
            if all(np.mean(own == other) < similarity_threshold[0] for other in hashes):
                kept.append(image)
                hashes.append(own)
        return (kept,)


def _singly(images: Iterable[Tensor]) -> Iterator[Tensor]:
    """The pictures of all batches, each as a batch of its own."""
    for batch in images:
        yield from batch.split(1)  # type: ignore[no-untyped-call]


def _average_hash(image: Tensor) -> NDArray[np.bool_]:
    """Which of 8x8 pixels are lighter than their mean."""
    size = (_HASH_SIDE, _HASH_SIDE)
    grey = to_picture(image[0]).convert("L").resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(grey, dtype=np.float32)
    lighter: NDArray[np.bool_] = (pixels > pixels.mean()).reshape(-1)
    return lighter


class ImageGrid(_ImageNode):
    """Arranges pictures in rows."""

    DISPLAY_NAME = "Image Grid"
    REQUIRED = inputs(
        images=("IMAGE",),
        columns=("INT", {"default": 4, "min": 1, "max": 20}),
        cell_width=("INT", {"default": 256, "min": 32, "max": 2048}),
        cell_height=("INT", {"default": 256, "min": 32, "max": 2048}),
        padding=("INT", {"default": 4, "min": 0, "max": 50}),
    )
    INPUT_IS_LIST: ClassVar[bool] = True

    def run(
        self,
        images: list[Tensor],
        columns: list[int],
        cell_width: list[int],
        cell_height: list[int],
        padding: list[int],
    ) -> tuple[Tensor]:
        """Each fits into its cell and is in its middle; what is between cells is black."""
        pictures = list(_singly(images))
        if not pictures:
            raise ValueError("a grid takes at least one image")
        across, gap = min(columns[0], len(pictures)), padding[0]
        step_x, step_y = cell_width[0] + gap, cell_height[0] + gap
        rows = math.ceil(len(pictures) / across)
        grid = Image.new("RGB", (across * step_x - gap, rows * step_y - gap))
        for index, image in enumerate(pictures):
            picture = to_picture(image[0]).convert("RGB")
            scale = min(cell_width[0] / picture.width, cell_height[0] / picture.height)
            size = _scaled(picture.width, picture.height, scale)
            picture = picture.resize(size, Image.Resampling.LANCZOS)
            left = index % across * step_x + (cell_width[0] - size[0]) // 2
            top = index // across * step_y + (cell_height[0] - size[1]) // 2
            grid.paste(picture, (left, top))
        return (to_image(grid),)
