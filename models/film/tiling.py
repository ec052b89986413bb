"""Has diffusers' autoencoders of films work in overlapping tiles, which they blend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Tile:
    """The size of a tile in pixels and frames, of which `overlap` are shared with the next one."""

    width: int
    height: int
    overlap: int
    frames: int | None = None  # None: as many as the network takes by itself
    frame_overlap: int = 0

    def arguments(self, scale: int) -> dict[str, Any]:
        """What `enable_tiling` of one class or another calls these."""
        share = self.overlap / max(1, min(self.width, self.height))
        overlap = min(self.overlap, min(self.width, self.height) // 2)
        named: dict[str, Any] = {
            "tile_sample_min_height": self.height,
            "tile_sample_min_width": self.width,
            "tile_sample_stride_height": self.height - self.overlap,
            "tile_sample_stride_width": self.width - self.overlap,
            "tile_sample_min_overlap_height": overlap,
            "tile_sample_min_overlap_width": overlap,
            "tile_latent_min_height": self.height // scale,
            "tile_latent_min_width": self.width // scale,
            "tile_overlap_factor": share,
            "tile_overlap_factor_height": share,
            "tile_overlap_factor_width": share,
        }
        if self.frames is not None:
            named["tile_sample_min_num_frames"] = self.frames
            named["tile_sample_stride_num_frames"] = self.frames - self.frame_overlap
        return named


_FRAMEWISE = ("use_framewise_encoding", "use_framewise_decoding")


@contextmanager
def in_tiles(network: Any, tile: Tile, scale: int) -> Iterator[None]:
    """While this lasts, the network works in such tiles; `scale` is pixels to a latent element."""
    known = signature(network.enable_tiling).parameters
    given = {name: value for name, value in tile.arguments(scale).items() if name in known}
    before = {name: value for name, value in vars(network).items() if _is_setting(name)}
    network.enable_tiling(**given)
    if tile.frames is not None:
        for name in _FRAMEWISE:
            if hasattr(network, name):
                setattr(network, name, True)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(network, name, value)


def _is_setting(name: str) -> bool:
    return name.startswith("tile_") or name == "use_tiling" or name in _FRAMEWISE
