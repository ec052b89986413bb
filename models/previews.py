"""Quick pictures of unfinished latents: a linear map from latent channels to colours.

The map is fitted to the VAE at hand: that of the model, or the one that was loaded last.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from models.protocol.latent_formats import LatentFormat
from models.vae import VaeHandle

_LEVELS = (0.05, 0.35, 0.65, 0.95)  # of each colour, in the chart that the map is fitted to
_CELLS = 3  # latent elements along each side of a patch of the chart


@dataclass(frozen=True)
class LatentColours:
    """The colours of a VAE's latents; fitted when the first preview is asked for."""

    vae: VaeHandle
    latent_format: LatentFormat

    @cached_property
    def weights(self) -> Tensor:
        """[C + 1, 3]: least squares from latents in model space, and a 1, to red, green, blue."""
        chart = colour_chart(_CELLS * self.vae.downscale)
        latent = self.latent_format.scale_in(self.vae.encode(chart))
        small = torch.nn.functional.avg_pool2d(chart.movedim(-1, 1), self.vae.downscale)
        solution: Tensor = torch.linalg.lstsq(_with_one(latent[0]), small[0].flatten(1).T).solution
        return solution

    def grey(self) -> Tensor:
        """The raw latent [1, C, 1, 1] of a grey picture."""
        side = _CELLS * self.vae.downscale
        latent = self.vae.encode(torch.full((1, side, side, 3), 0.5))
        middle = _CELLS // 2
        return latent[..., middle : middle + 1, middle : middle + 1]

    def picture(self, latent: Tensor) -> Image.Image:
        """The first of the latents [B, C, h, w] (model space) as a picture of its decoded size.

        Of films [B, C, t, h, w] it is the first frame.
        """
        first = latent[0].detach().to("cpu", torch.float32)
        if first.ndim > 3:
            first = first[:, 0]
        colours = (_with_one(first) @ self.weights).clamp(0, 1).mul(255).round().byte()
        height, width = first.shape[1:]
        image = Image.fromarray(colours.reshape(height, width, 3).numpy())
        scale = self.vae.downscale
        return image.resize((width * scale, height * scale), Image.Resampling.BILINEAR)


def _with_one(latent: Tensor) -> Tensor:
    """[C, h, w] -> [h w, C + 1]."""
    flat = latent.flatten(1).T
    return torch.cat([flat, torch.ones(len(flat), 1)], dim=1)


def colour_chart(patch: int) -> Tensor:
    """A picture [1, 8 patch, 8 patch, 3] of 64 colours, neighbours being unlike each other."""
    colours = torch.tensor(list(itertools.product(_LEVELS, repeat=3)))
    # 27 and 64 have no common divisor, so this visits each colour once.
    grid = colours[torch.arange(64) * 27 % 64].reshape(8, 8, 3)
    return grid.repeat_interleave(patch, 0).repeat_interleave(patch, 1)[None]


def latent_preview(latent: Tensor, colours: LatentColours | None) -> Image.Image | None:
    """A preview of latents [B, C, h, w] in model space; None without colours, and for sounds."""
    return None if colours is None or latent.ndim < 4 else colours.picture(latent)
