"""Models whose network is told a vector of its picture beside the prompt: Stable Diffusion XL.

The vector is the pooled prompt followed by an embedding of each number that the picture has:
sizes, crop and target (Podell et al. 2023, https://arxiv.org/abs/2307.01952, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.protocol.concat import UNetBase

NUMBER_CHANNELS: Final = 256  # of the embedding of each number


def embedded_numbers(numbers: Sequence[float]) -> Tensor:
    """Sinusoids of numbers, [1, 256 N]: embeddings of Vaswani et al. 2017, cosines first."""
    from diffusers.models.embeddings import get_timestep_embedding

    values = torch.tensor(numbers, dtype=torch.float32)
    embedded: Tensor = get_timestep_embedding(
        values, NUMBER_CHANNELS, flip_sin_to_cos=True, downscale_freq_shift=0
    )
    return embedded.flatten().unsqueeze(0)


class SDXL(UNetBase):
    """Told the sizes of the picture, the corner of the crop, and the sizes to paint."""

    NUMBERS: int = 6

    def numbers(self, **options: Any) -> list[float]:
        """What a CONDITIONING says of the picture; sizes are the latent's where it says none."""
        height, width = options["height"], options["width"]
        return [
            height,
            width,
            options.get("crop_h", 0),
            options.get("crop_w", 0),
            options.get("target_height", height),
            options.get("target_width", width),
        ]

    def encode_adm(self, **kwargs: Any) -> Tensor:
        """[B, pooled + 256 N]; a prompt without pooled output counts as zeros."""
        pooled = kwargs.get("pooled_output")
        width = self.adm_channels - NUMBER_CHANNELS * self.NUMBERS
        if pooled is None:
            pooled = torch.zeros(1, width)
        if pooled.shape[-1] != width:
            raise InvalidInput(
                f"the pooled prompt has {pooled.shape[-1]} channels and this model takes {width}: "
                "encode the prompt with the text encoders that belong to the model"
            )
        pooled = pooled.to(kwargs["device"], torch.float32)
        numbers = embedded_numbers(self.numbers(**kwargs)).to(pooled)
        return torch.cat([pooled, numbers.expand(len(pooled), -1)], dim=1)


class SDXLRefiner(SDXL):
    """Told how beautiful the picture is to be instead of its target size."""

    NUMBERS = 5

    def numbers(self, **options: Any) -> list[float]:
        """The score is 6, or 2.5 on the negative side, where a CONDITIONING says none."""
        usual = 2.5 if options.get("prompt_type") == "negative" else 6.0
        score = options.get("aesthetic_score", usual)
        return [*super().numbers(**options)[:4], score]
