"""Reading image files: all frames, upright, as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, ImageSequence
from torch import Tensor

# Pillow reads more, among them EPS, for which it starts an interpreter of programs.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "ICO")
_NO_MASK_SIDE = 64  # the mask of a picture without transparency
_FIRST_FRAME_ONLY = frozenset({"MPO"})  # further pictures in it are other views, not frames


def read_image(path: Path) -> tuple[Tensor, Tensor]:
    """(IMAGE [B, H, W, 3], MASK): every frame of a file; frames of another size are skipped.

    The mask is 1 - alpha [B, H, W], or zeros [B, 64, 64] for a file without transparency. Raises
    PIL.UnidentifiedImageError for a file that is no image.
    """
    images: list[Tensor] = []
    masks: list[Tensor] = []
    with _tolerating_truncation(), _open(path) as file:
        for frame in ImageSequence.Iterator(file):
            upright = _plain(ImageOps.exif_transpose(frame))
            image = _channels(upright.convert("RGB"))
            if images and image.shape != images[0].shape:
                continue
            images.append(image)
            masks.append(_mask_of(upright))
            if file.format in _FIRST_FRAME_ONLY:
                break
    return torch.stack(images), torch.stack(masks)


def read_mask(path: Path, channel: str) -> Tensor:
    """MASK [1, H, W] from one channel of the first frame: red, green, blue, or 1 - alpha.

    A file without transparency gives zeros for alpha.
    """
    with _tolerating_truncation(), _open(path) as file:
        picture = ImageOps.exif_transpose(file)
        if picture.getbands() != ("R", "G", "B", "A"):
            picture = _plain(picture).convert("RGBA")
        band = {"red": "R", "green": "G", "blue": "B", "alpha": "A"}[channel]
        mask = _channels(picture.getchannel(band))
    return (1 - mask if channel == "alpha" else mask)[None]


def _open(path: Path) -> Image.Image:
    Image.init()
    return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])


def _channels(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture).astype(np.float32) / 255)


def _plain(picture: Image.Image) -> Image.Image:
    """32-bit integers become 8-bit ones, as in the reference; palettes keep their transparency."""
    if picture.mode == "I":
        return picture.point(lambda value: value * (1 / 255))
    if picture.mode == "P" and "transparency" in picture.info:
        return picture.convert("RGBA")
    return picture


def _mask_of(picture: Image.Image) -> Tensor:
    if "A" in picture.getbands():
        return 1 - _channels(picture.getchannel("A"))
    return torch.zeros(_NO_MASK_SIDE, _NO_MASK_SIDE)


class _tolerating_truncation:
    """Within it Pillow gives what a cut-off file holds instead of an error."""

    def __enter__(self) -> None:
        self._before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True

    def __exit__(self, *_: object) -> None:
        ImageFile.LOAD_TRUNCATED_IMAGES = self._before
