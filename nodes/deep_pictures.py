"""Picture files of more than 8 bits: PNG of 16, EXR of floating point numbers, AVIF.

EXR needs the library OpenEXR, AVIF the codec that Pillow brings along.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nodes.saved_images import Metadata, as_text, exif, png_text, to_picture
from nodes.tensors.colors import linear

_PNG_COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_FILTER_UP: Final = 2
_EXR_CHANNELS: Final = {1: "Y", 3: "RGB", 4: "RGBA"}
_FLOATS: Final[Mapping[str, Any]] = {"16-bit float": np.float16, "32-bit float": np.float32}

# Of red, green, blue and white, as x and y: ITU-R BT.709, BT.2020, and ACES AP1 (S-2014-004).
_REC709: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
_REC2020: Final = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
_AP1: Final = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)
_PRIMARIES: Final = {"sRGB": _REC709, "linear": _REC709, "HDR": _REC2020, "linear ACEScg": _AP1}


class LibraryMissing(RuntimeError):
    """A format needs a library that is not installed."""

    def __init__(self, format: str, library: str) -> None:
        super().__init__(f"{format} files need the library {library}: pip install {library}")


def write_png16(image: Tensor, metadata: Metadata, compress_level: int, path: Path) -> None:
    """An image [H, W, C] of 1 to 4 channels with 16 bits each: clipped, truncated."""
    values = (image.detach().to("cpu", torch.float64) * 65535.0).clamp(0, 65535).numpy()
    pixels: NDArray[np.uint16] = values.astype(">u2")
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0)
    rows = pixels.view(np.uint8).reshape(height, -1)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[:, 1:] = rows - above
    texts = [(chunk[0], chunk[1]) for chunk in png_text(metadata).chunks]
    body = zlib.compress(filtered.tobytes(), compress_level)
    with path.open("wb") as file:
        file.write(_PNG_SIGNATURE)
        for name, content in [(b"IHDR", header), *texts, (b"IDAT", body), (b"IEND", b"")]:
            checksum = zlib.crc32(name + content)
            file.write(struct.pack(">I", len(content)) + name + content)
            file.write(struct.pack(">I", checksum))


def write_exr(image: Tensor, metadata: Metadata, depth: str, space: str, path: Path) -> None:
    """An image [H, W, C] as linear light; raises LibraryMissing.

    `depth` is `16-bit float` or `32-bit float`; `space` says what the values are: sRGB, HDR (HLG of
    ITU-R BT.2100), linear, or linear ACEScg. Nothing is clipped, alpha stays as it is.
    """
    if find_spec("OpenEXR") is None:
        raise LibraryMissing("EXR", "OpenEXR")
    import OpenEXR

    light = to_linear(image.detach().to("cpu", torch.float32), space)
    pixels = np.ascontiguousarray(light.numpy().astype(_FLOATS[depth]))
    header: dict[str, Any] = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": _PRIMARIES[space],
        **{key: as_text(value) for key, value in metadata.items()},
    }
    name = _EXR_CHANNELS[pixels.shape[-1]]
    OpenEXR.File(header, {name: pixels[..., 0] if name == "Y" else pixels}).write(str(path))


def to_linear(image: Tensor, space: str) -> Tensor:
    """Colours [..., C] as linear light; a fourth channel stays."""
    colours, alpha = image[..., :3], image[..., 3:]
    if space == "sRGB":
        colours = linear(colours)
    elif space == "HDR":  # ITU-R BT.2100, table 5: the inverse of the HLG OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        upper = (torch.exp((colours - c) / a) + b) / 12
        colours = torch.where(colours <= 0.5, colours.sign() * colours**2 / 3, upper)
    return torch.cat([colours, alpha], dim=-1)


def write_avif(images: Tensor, metadata: Metadata, crf: int, fps: float, path: Path) -> None:
    """Images [B, H, W, C] as one AVIF file of 8 bits, 4:2:0: still, or moving without end.

    `crf` is the loss, 1 (little) to 63.
    """
    pictures = [to_picture(image[..., :3]) for image in images]
    more: dict[str, Any] = {}
    if len(pictures) > 1:
        duration = round(1000 / fps)
        more = {"save_all": True, "append_images": pictures[1:], "duration": duration}
    quality = round(100 * (1 - crf / 63))
    pictures[0].save(
        path, "AVIF", quality=quality, subsampling="4:2:0", exif=exif(metadata), **more
    )
