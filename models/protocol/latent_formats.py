"""Latent spaces by name: channels, scale, shift, and the colours of a quick preview.

Where `latent_rgb_factors` is None, previews are made by models.previews, which fits the colours
to the VAE at hand.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.protocol import qwen_statistics
from models.protocol.wan_statistics import DEVIATION_21, DEVIATION_22, MEAN_21, MEAN_22

if TYPE_CHECKING:
    from models.previews import LatentColours


class LatentFormat:
    """Latents in model space are ``(latent - shift_factor) * scale_factor``."""

    scale_factor: float = 1.0
    shift_factor: float = 0.0
    latent_channels: int = 4
    latent_dimensions: int = 2
    spacial_downscale_ratio: int = 8
    latent_rgb_factors: list[list[float]] | None = None
    latent_rgb_factors_bias: list[float] | None = None
    latent_rgb_factors_reshape: Any = None
    taesd_decoder_name: str | None = None
    colours: Any = None  # where they are fitted instead; see `with_colours`

    @property
    def channels(self) -> int:
        """Latent channels."""
        return self.latent_channels

    def scale_in(self, latent: Tensor) -> Tensor:
        """Raw VAE units to model space; models.sampling's word for it."""
        return self.process_in(latent)

    def scale_out(self, latent: Tensor) -> Tensor:
        """Model space to raw VAE units; models.sampling's word for it."""
        return self.process_out(latent)

    def marks(self) -> dict[str, Tensor]:
        """Tensors by which a checkpoint says that its latents are in this space; mostly none."""
        return {}

    def process_in(self, latent: Tensor) -> Tensor:
        """Raw VAE units to model space."""
        return (latent - self.shift_factor) * self.scale_factor

    def process_out(self, latent: Tensor) -> Tensor:
        """Model space to raw VAE units."""
        return latent / self.scale_factor + self.shift_factor


class _Fitted:
    """Mixed into the class of a latent space: colours of previews from models.previews."""

    colours: LatentColours

    @property
    def latent_rgb_factors(self) -> list[list[float]]:
        """Colours in -1..1 for each channel."""
        factors: list[list[float]] = (self.colours.weights[:-1] * 2).tolist()
        return factors

    @property
    def latent_rgb_factors_bias(self) -> list[float]:
        """The colour of a latent of zeros."""
        bias: list[float] = (self.colours.weights[-1] * 2 - 1).tolist()
        return bias


def with_colours(latent_format: LatentFormat, colours: LatentColours) -> LatentFormat:
    """The same latent space with preview colours that are fitted to its VAE when asked for."""
    kind = type(latent_format)
    made = copy.copy(latent_format)
    made.__class__ = type(kind.__name__, (_Fitted, kind), {})
    made.colours = colours
    return made


class SD15(LatentFormat):
    """Stable Diffusion 1 and 2."""

    taesd_decoder_name = "taesd_decoder"

    def __init__(self, scale_factor: float = 0.18215) -> None:
        self.scale_factor = scale_factor


class SDXL(LatentFormat):
    """Stable Diffusion XL."""

    scale_factor = 0.13025
    taesd_decoder_name = "taesdxl_decoder"


class Standardised(LatentFormat):
    """Each channel has a mean and a standard deviation, [1, C, ...]; it is scaled after that."""

    latents_mean: Tensor
    latents_std: Tensor

    def process_in(self, latent: Tensor) -> Tensor:
        mean, std = self.latents_mean.to(latent), self.latents_std.to(latent)
        return (latent - mean) * self.scale_factor / std

    def process_out(self, latent: Tensor) -> Tensor:
        mean, std = self.latents_mean.to(latent), self.latents_std.to(latent)
        return latent * std / self.scale_factor + mean


class SDXL_Playground_2_5(Standardised):
    """Playground 2.5."""

    def __init__(self, mean: Tensor | None = None, std: Tensor | None = None) -> None:
        self.scale_factor = 0.5
        if mean is None or std is None:
            mean = torch.tensor([-1.6574, 1.886, -1.383, 2.5155])
            std = torch.tensor([8.4927, 5.9022, 6.5498, 5.2299])
        self.latents_mean, self.latents_std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)

    def marks(self) -> dict[str, Tensor]:
        return {"edm_mean": self.latents_mean.flatten(), "edm_std": self.latents_std.flatten()}


class SD_X4(LatentFormat):
    """The upscaler of Stable Diffusion 2."""

    scale_factor = 0.08333
    spacial_downscale_ratio = 4


class SC_Prior(LatentFormat):
    """Stable Cascade, stage C."""

    latent_channels = 16
    spacial_downscale_ratio = 42


class SC_B(LatentFormat):
    """Stable Cascade, stage B."""

    scale_factor = 1.0 / 0.43
    spacial_downscale_ratio = 4


class SD3(LatentFormat):
    """Stable Diffusion 3."""

    latent_channels = 16
    scale_factor, shift_factor = 1.5305, 0.0609
    taesd_decoder_name = "taesd3_decoder"


class StableAudio1(LatentFormat):
    """Stable Audio."""

    latent_channels = 64
    latent_dimensions = 1


class Flux(SD3):
    """Flux 1."""

    scale_factor, shift_factor = 0.3611, 0.1159
    taesd_decoder_name = "taef1_decoder"


class Flux2(LatentFormat):
    """Flux 2: patches of 2 x 2 latents are channels."""

    latent_channels = 128
    spacial_downscale_ratio = 16


class Mochi(LatentFormat):
    """Mochi video."""

    latent_channels = 12
    latent_dimensions = 3


class LTXV(LatentFormat):
    """LTX video."""

    latent_channels = 128
    latent_dimensions = 3
    spacial_downscale_ratio = 32


class HunyuanVideo(LatentFormat):
    """Hunyuan video."""

    latent_channels = 16
    latent_dimensions = 3
    scale_factor = 0.476986
    taesd_decoder_name = "taehv"


class Cosmos1CV8x8x8(LatentFormat):
    """Cosmos video."""

    latent_channels = 16
    latent_dimensions = 3


class Wan21(Standardised):
    """Wan 2.1 video, and Qwen-Image."""

    latent_channels = 16
    latent_dimensions = 3
    taesd_decoder_name = "lighttaew2_1"
    latents_mean = torch.tensor(MEAN_21).view(1, -1, 1, 1, 1)
    latents_std = torch.tensor(DEVIATION_21).view(1, -1, 1, 1, 1)


class Wan22(Wan21):
    """Wan 2.2 video, 5B."""

    latent_channels = 48
    spacial_downscale_ratio = 16
    latents_mean = torch.tensor(MEAN_22).view(1, -1, 1, 1, 1)
    latents_std = torch.tensor(DEVIATION_22).view(1, -1, 1, 1, 1)


class QwenImage21(Standardised):
    """Qwen-Image 2.1."""

    latent_channels = 64
    latent_dimensions = 3
    spacial_downscale_ratio = 16
    latents_mean = torch.tensor(qwen_statistics.MEAN).view(1, -1, 1, 1, 1)
    latents_std = torch.tensor(qwen_statistics.DEVIATION).view(1, -1, 1, 1, 1)


class MiniMaxH3(LatentFormat):
    """The films of MiniMax-H3; its VAEs undo the statistics of their latents."""

    latent_channels = 24
    latent_dimensions = 3
    spacial_downscale_ratio = 16


class HunyuanImage21(LatentFormat):
    """Hunyuan Image 2.1."""

    latent_channels = 64
    scale_factor = 0.75289
    spacial_downscale_ratio = 32


class Hunyuan3Dv2(LatentFormat):
    """Hunyuan 3D 2."""

    latent_channels = 64
    latent_dimensions = 1
    scale_factor = 0.9990943042622529


class ACEAudio(LatentFormat):
    """ACE step audio."""

    latent_channels = 8
    latent_dimensions = 2


class ChromaRadiance(LatentFormat):
    """Chroma Radiance: pixels."""

    latent_channels = 3
    spacial_downscale_ratio = 1
