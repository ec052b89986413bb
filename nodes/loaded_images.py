"""Reading image files: all frames, upright, as tensors."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, ImageSequence, UnidentifiedImageError
from torch import Tensor

from models.errors import is_out_of_memory
from nodes.named_files import Content

MOST_PIXELS = 150_000_000

# Pillow reads more, among them EPS, for which it starts an interpreter of programs.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "ICO", "HEIF", "JXL")
_PLUGINS = ("pi_heif", "pillow_heif", "pillow_jxl")  # for HEIC and JPEG XL, where installed
# What decoders were seen to raise for files with bytes that are wrong.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, RuntimeError, LookupError, ArithmeticError,
    EOFError, struct.error, zlib.error,
)  # fmt: skip
_NO_MASK_SIDE = 64  # the mask of a picture without transparency
_FIRST_FRAME_ONLY = frozenset({"MPO"})  # further pictures in it are other views, not frames


class ImageTooLarge(Exception):
    """A picture has more pixels than may be decoded."""

    def __init__(self, name: str, most_pixels: int) -> None:
        super().__init__(
            f"the picture '{name}' has more than the {most_pixels / 1e6:g} million pixels "
            "that the setting 'max_image_pixels' allows, all frames together"
        )


class NotAPicture(UnidentifiedImageError):
    """A file is no picture, or of a format that cannot be read."""

    def __init__(self, name: str) -> None:
        readable = ", ".join(_readable())
        super().__init__(
            f"'{name}' cannot be read as a picture: it is none, or damaged from its beginning; "
            f"what can be read: {readable}. "
            "HEIC needs the library pi-heif, JPEG XL needs pillow-jxl-plugin."
        )


class DamagedPicture(OSError):
    """A file begins as a picture does, and cannot be read further."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the picture '{name}' is damaged: {reason}")


def read_image(
    source: Content, name: str = "the file", most_pixels: int = MOST_PIXELS
) -> tuple[Tensor, Tensor]:
    """(IMAGE [B, H, W, 3], MASK): every frame of a file; frames of another size are skipped.

    The mask is 1 - alpha [B, H, W], or zeros [B, 64, 64] for a file without transparency. Raises
    NotAPicture for a file that is none, DamagedPicture, and ImageTooLarge for more than
    `most_pixels` in all frames together; `name` is that of the file in messages.
    """
    images: list[Tensor] = []
    masks: list[Tensor] = []
    pixels = 0
    with _reading(name, most_pixels), _open(source, name, most_pixels) as file:
        for frame in ImageSequence.Iterator(file):
            pixels += frame.width * frame.height
            if pixels > most_pixels:
                raise ImageTooLarge(name, most_pixels)
            upright = _plain(ImageOps.exif_transpose(frame))
            image = _channels(upright.convert("RGB"))
            if images and image.shape != images[0].shape:
                continue
            images.append(image)
            masks.append(_mask_of(upright))
            if file.format in _FIRST_FRAME_ONLY:
                break
    return torch.stack(images), torch.stack(_same_sides(masks, images[0]))


def read_mask(
    source: Content, channel: str, name: str = "the file", most_pixels: int = MOST_PIXELS
) -> Tensor:
    """MASK [1, H, W] from one channel of the first frame: red, green, blue, or 1 - alpha.

    A file without transparency gives zeros for alpha. Raises as `read_image` does.
    """
    with _reading(name, most_pixels), _open(source, name, most_pixels) as file:
        picture = ImageOps.exif_transpose(file)
        if picture.getbands() != ("R", "G", "B", "A"):
            picture = _plain(picture).convert("RGBA")
        band = {"red": "R", "green": "G", "blue": "B", "alpha": "A"}[channel]
        mask = _channels(picture.getchannel(band))
    return (1 - mask if channel == "alpha" else mask)[None]


@cache
def _readable() -> tuple[str, ...]:
    """The formats that can be read; loads the plug-ins that are installed."""
    Image.init()
    for plugin in _PLUGINS:
        if find_spec(plugin) is not None:
            module = import_module(plugin)
            register = getattr(module, "register_heif_opener", None)
            if register is not None:
                register()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _open(source: Content, name: str, most_pixels: int) -> Image.Image:
    # Pillow would warn beyond a limit of its own, and refuse beyond its double. This one also holds
    # for pictures that node packs read.
    Image.MAX_IMAGE_PIXELS = most_pixels
    try:
        image = Image.open(source, formats=_readable())
    except Image.DecompressionBombError:
        raise ImageTooLarge(name, most_pixels) from None
    except UnidentifiedImageError:
        raise NotAPicture(name) from None
    except RuntimeError as error:  # what the decoder of JPEG XL raises
        raise DamagedPicture(name, str(error).partition(".")[0]) from error
    if image.width * image.height > most_pixels:
        image.close()
        raise ImageTooLarge(name, most_pixels)
    return image


@contextmanager
def _reading(name: str, most_pixels: int) -> Iterator[None]:
    """Within it Pillow gives what a cut-off file holds, and what it cannot read has a name."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    except Image.DecompressionBombError:  # of a frame that is larger than the first
        raise ImageTooLarge(name, most_pixels) from None
    except _DAMAGE as error:
        # Errors of the system, such as that of a file that is not there, say enough.
        said = isinstance(error, UnidentifiedImageError | DamagedPicture)
        if said or getattr(error, "errno", None) is not None or is_out_of_memory(error):
            raise
        raise DamagedPicture(name, str(error) or type(error).__name__) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


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
    if picture.getbands()[-1].lower() == "a":  # LAB has a channel of that name in the middle
        return 1 - _channels(picture.getchannel(picture.getbands()[-1]))
    return torch.zeros(_NO_MASK_SIDE, _NO_MASK_SIDE)


def _same_sides(masks: list[Tensor], image: Tensor) -> list[Tensor]:
    """Masks of all frames, where some frames are opaque and others are not."""
    sides = {mask.shape for mask in masks}
    if len(sides) == 1:
        return masks
    opaque = torch.zeros(image.shape[:2])
    return [mask if mask.shape == opaque.shape and mask.any() else opaque for mask in masks]
