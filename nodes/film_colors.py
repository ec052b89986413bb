"""How the colours of a film are coded: bits a channel, and what light its values stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

SPACES: Final = ["sRGB", "HDR", "HDR PQ"]
DEPTHS: Final[list[Any]] = ["auto", 8, 10]

# ITU-T H.273: transfer characteristics of HLG and PQ, primaries and matrix of BT.2020.
_TRANSFERS: Final = {"HDR": 18, "HDR PQ": 16}
_BT2020: Final = 9

_DEEP, _PLAIN = "rgb48le", "rgb24"  # FFmpeg's names of pixels before they are coded


@dataclass(frozen=True, kw_only=True)
class FilmColors:
    """The colours of one film."""

    bit_depth: int = 8  # 8 or 10
    space: str = "sRGB"  # one of SPACES: HDR is HLG of ITU-R BT.2100

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the coded pixels."""
        return "yuv420p" if self.bit_depth == 8 else "yuv420p10le"

    def mark(self, codec: Any) -> None:
        """Tell a coder, and by it players, what the values stand for."""
        if self.space in _TRANSFERS:
            codec.color_primaries = _BT2020
            codec.color_trc = _TRANSFERS[self.space]
            codec.colorspace = _BT2020

    def frame(self, image: Tensor) -> Any:
        """A picture [H, W, 3] in 0..1 as PyAV's frame, as it is to be coded."""
        import av

        levels, kind, name = 255.0, torch.uint8, _PLAIN
        if self.bit_depth > 8:
            levels, kind, name = 65535.0, torch.int32, _DEEP
        pixels = (image.detach().to("cpu", torch.float32) * levels).clamp(0, levels).to(kind)
        array = pixels.contiguous().numpy()
        deep = array.astype(np.uint16) if self.bit_depth > 8 else array
        frame = av.VideoFrame.from_ndarray(deep, format=name)
        if self.space not in _TRANSFERS:
            return frame
        coded = frame.reformat(format=self.pixel_format, dst_colorspace=_BT2020)
        coded.colorspace = _BT2020
        return coded


def film_colors(bit_depth: object, space: str) -> FilmColors:
    """Colours as a user chooses them: `auto` is 10 bits for HDR and 8 otherwise.

    Raises ValueError for what is not known.
    """
    depths = {"auto": 10 if space in _TRANSFERS else 8, "8": 8, "10": 10}
    if str(bit_depth) not in depths:
        raise ValueError(f"a film has 8 or 10 bits a channel, not {bit_depth!r}")
    if space not in SPACES:
        raise ValueError(f"the colours of a film are {', '.join(SPACES)}, not {space!r}")
    return FilmColors(bit_depth=depths[str(bit_depth)], space=space)


def colors_of(stream: Any) -> FilmColors:
    """The colours of an open video stream; more than 8 bits count as 10."""
    codec = stream.codec_context
    bits = max((part.bits for part in codec.format.components), default=8) if codec.format else 8
    spaces = {transfer: space for space, transfer in _TRANSFERS.items()}
    return FilmColors(
        bit_depth=8 if bits <= 8 else 10, space=spaces.get(int(codec.color_trc or 0), "sRGB")
    )


def pixels_of(frame: Any, colors: FilmColors) -> Tensor:
    """A decoded frame as levels [H, W, 3]: uint8, or of more bits float32 in 0..255."""
    if colors.bit_depth == 8:
        return torch.from_numpy(frame.to_ndarray(format=_PLAIN))
    deep = frame.to_ndarray(format=_DEEP).astype(np.float32)
    return torch.from_numpy(deep).div_(65535 / 255)
