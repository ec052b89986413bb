"""Reading image files: all frames, upright, as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, ImageSequence
from torch import Tensor

MOST_PIXELS = 150_000_000

# Pillow reads more, among them EPS, for which it starts an interpreter of programs.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "ICO")
_NO_MASK_SIDE = 64  # the mask of a picture without transparency
_FIRST_FRAME_ONLY = frozenset({"MPO"})  # further pictures in it are other views, not frames


class ImageTooLarge(Exception):
    """A picture has more pixels than may be decoded."""

    def __init__(self, path: Path, most_pixels: int) -> None:
        super().__init__(
            f"the picture '{path.name}' has more than the {most_pixels / 1e6:g} million pixels "
            "that the setting 'max_image_pixels' allows, all frames together"
        )


def read_image(path: Path, most_pixels: int = MOST_PIXELS) -> tuple[Tensor, Tensor]:
    """(IMAGE [B, H, W, 3], MASK): every frame of a file; frames of another size are skipped.

    The mask is 1 - alpha [B, H, W], or zeros [B, 64, 64] for a file without transparency. Raises
    PIL.UnidentifiedImageError for a file that is no image, ImageTooLarge for more than
    `most_pixels` in all frames together.
    """
    images: list[Tensor] = []
    masks: list[Tensor] = []
    pixels = 0
    with _tolerating_truncation(), _open(path, most_pixels) as file:
        for frame in ImageSequence.Iterator(file):
            pixels += frame.width * frame.height
            if pixels > most_pixels:
                raise ImageTooLarge(path, most_pixels)
            upright = _plain(ImageOps.exif_transpose(frame))
            image = _channels(upright.convert("RGB"))
            if images and image.shape != images[0].shape:
                continue
            images.append(image)
            masks.append(_mask_of(upright))
            if file.format in _FIRST_FRAME_ONLY:
                break
    return torch.stack(images), torch.stack(masks)


def read_mask(path: Path, channel: str, most_pixels: int = MOST_PIXELS) -> Tensor:
    """MASK [1, H, W] from one channel of the first frame: red, green, blue, or 1 - alpha.

    A file without transparency gives zeros for alpha. Raises as `read_image` does.
    """
    with _tolerating_truncation(), _open(path, most_pixels) as file:
        picture = ImageOps.exif_transpose(file)
        if picture.getbands() != ("R", "G", "B", "A"):
            picture = _plain(picture).convert("RGBA")
        band = {"red": "R", "green": "G", "blue": "B", "alpha": "A"}[channel]
        mask = _channels(picture.getchannel(band))
    return (1 - mask if channel == "alpha" else mask)[None]


def _open(path: Path, most_pixels: int) -> Image.Image:
    Image.init()
    # Pillow would warn beyond a limit of its own, and refuse beyond its double. This one also holds
    # for pictures that node packs read.
    Image.MAX_IMAGE_PIXELS = most_pixels
    try:
        image = Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])
    except Image.DecompressionBombError:
        raise ImageTooLarge(path, most_pixels) from None
    if image.width * image.height > most_pixels:
        image.close()
        raise ImageTooLarge(path, most_pixels)
    return image


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
