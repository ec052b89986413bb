"""Stable Diffusion unCLIP: a network that is told a vector of pictures (Ramesh et al. 2022).

The vector is an image encoder's embedding of the picture with some noise in it, followed by an
embedding of how much that is. What noise is measured by is in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.protocol.concat import UNetBase
from models.weights import Weights

PREFIX: Final = "noise_augmentor."
_MEAN, _DEVIATION, _SIGNAL = "data_mean", "data_std", "alphas_cumprod"
_LEVELS: Final = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseAugmentor:
    """Puts noise into embeddings of pictures; mean and deviation [P] are those of embeddings."""

    mean: Tensor
    deviation: Tensor
    signal: Tensor  # [levels], the share of the embedding's variance at each level of noise

    @classmethod
    def of(cls, weights: Weights) -> NoiseAugmentor | None:
        """That of a checkpoint; None if it has none."""
        found = weights.below(PREFIX).tensors
        if _MEAN not in found or _DEVIATION not in found:
            return None
        signal = found.get(_SIGNAL)
        return cls(
            mean=found[_MEAN].float().flatten(),
            deviation=found[_DEVIATION].float().flatten(),
            signal=_cosine(_LEVELS) if signal is None else signal.float(),
        )

    def marks(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it."""
        found = {_MEAN: self.mean, _DEVIATION: self.deviation, _SIGNAL: self.signal}
        return {PREFIX + name: tensor for name, tensor in found.items()}

    def vector(self, embedding: Tensor, amount: float, noise: Tensor) -> Tensor:
        """[N, 2 P] of embeddings [N, P], an amount of noise in 0..1 and unit noise [N, P]."""
        from diffusers.models.embeddings import get_timestep_embedding

        level = round(min(max(amount, 0.0), 1.0) * (len(self.signal) - 1))
        signal = self.signal[level]
        scaled = (embedding - self.mean) / self.deviation
        noisy = signal.sqrt() * scaled + (1 - signal).sqrt() * noise
        told = get_timestep_embedding(
            torch.full((len(embedding),), level), embedding.shape[-1],
            flip_sin_to_cos=True, downscale_freq_shift=0,
        )  # fmt: skip
        return torch.cat([noisy * self.deviation + self.mean, told], dim=1)


def _cosine(levels: int) -> Tensor:
    """The schedule of Nichol and Dhariwal 2021, https://arxiv.org/abs/2102.09672, equation 17."""
    from diffusers.schedulers.scheduling_ddpm import betas_for_alpha_bar

    betas: Tensor = betas_for_alpha_bar(levels)
    return torch.cumprod(1 - betas, dim=0)


class UnclipModel(UNetBase):
    """The network takes the vectors of all pictures of a conditioning, added up."""

    is_plain = False  # noise is drawn from the seed of a run
    noise_augmentor: NoiseAugmentor | None = None

    def take_from(self, weights: Weights) -> None:
        """What the checkpoint says of embeddings."""
        self.noise_augmentor = NoiseAugmentor.of(weights)

    def marks(self) -> dict[str, Tensor]:
        """What the checkpoint said."""
        return {} if self.noise_augmentor is None else self.noise_augmentor.marks()

    def encode_adm(self, **kwargs: Any) -> Tensor:
        """[N, 2 P]; zeros without a picture, as for the negative side."""
        pictures: Sequence[Mapping[str, Any]] = kwargs.get("unclip_conditioning") or ()
        device = kwargs["device"]
        if not pictures:
            return torch.zeros(1, self.adm_channels, device=device)
        source = torch.Generator().manual_seed(kwargs.get("seed") or 0)
        vectors = [self._vector(picture, source) for picture in pictures]
        rows = max(len(vector) for vector in vectors)
        # A row for each picture that an encoder was given at once.
        total = sum(vector[torch.arange(rows) % len(vector)] for vector in vectors)
        assert isinstance(total, Tensor)
        return total.to(device)

    def _vector(self, picture: Mapping[str, Any], source: torch.Generator) -> Tensor:
        embedding: Tensor = picture["clip_vision_output"].image_embeds.float().cpu()
        if self.noise_augmentor is None:
            raise InvalidInput(
                "the file of this model says nothing of pictures: load the whole checkpoint with "
                "unCLIPCheckpointLoader"
            )
        if 2 * embedding.shape[-1] != self.adm_channels:
            raise InvalidInput(
                f"this model takes embeddings of {self.adm_channels // 2} channels, and the image "
                f"encoder gives {embedding.shape[-1]}: use the one in the checkpoint"
            )
        noise = torch.randn(embedding.shape, generator=source)
        vector = self.noise_augmentor.vector(embedding, picture["noise_augmentation"], noise)
        return vector * float(picture["strength"])
