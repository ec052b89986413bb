"""Pictures with few colours, by Pillow on 8 bits a channel."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

DITHERS: Final = ["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"]


def quantize(image: Tensor, colors: int, dither: str) -> Tensor:
    """Pictures [B, H, W, 3] with a palette of at most `colors` each; clamped to 0..1."""
    quantized = torch.empty(*image.shape[:3], 3)
    for i, picture in enumerate(image):
        levels = (picture.cpu() * 255).clamp(0, 255).to(torch.uint8).numpy()
        reduced = _quantize(Image.fromarray(levels), colors, dither).convert("RGB")
        quantized[i] = torch.from_numpy(np.array(reduced))
    return quantized.div_(255).to(image)


def _quantize(picture: Image.Image, colors: int, dither: str) -> Image.Image:
    palette = picture.quantize(colors=colors)
    if dither == "none":
        return picture.quantize(colors=colors, palette=palette, dither=Image.Dither.NONE)
    if dither == "floyd-steinberg":
        return picture.quantize(colors=colors, palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    count = len(palette.getpalette() or ()) // 3
    pattern = bayer(int(dither.removeprefix("bayer-"))) * (2 * 256 / count)
    height, width = picture.height, picture.width
    tiled = np.tile(pattern, (-(-height // len(pattern)), -(-width // len(pattern))))
    shifted = np.asarray(picture, np.float32) + tiled[:height, :width, None]
    dithered = Image.fromarray(shifted.clip(0, 255).round().astype(np.uint8))
    return dithered.quantize(colors=colors, palette=palette, dither=Image.Dither.NONE)


def bayer(size: int) -> NDArray[np.float32]:
    """B. Bayer's matrix (1973) of a power of 2: thresholds in -0.5..0.5, 0 in the mean."""
    matrix = np.zeros((1, 1))
    while len(matrix) < size:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return ((matrix + 0.5) / size**2 - 0.5).astype(np.float32)
