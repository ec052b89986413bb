"""NOISE objects: what goes through NOISE sockets. Packs bring further ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.joint_latent import each_part
from models.protocol.replaced import current
from models.sampling.noise import prepare_noise


class NoNoise:
    """Zeros, for runs that go on with a noisy latent."""

    seed = 0  # of what samplers draw on the way

    def generate_noise(self, input_latent: Mapping[str, Any]) -> Tensor:
        """For a LATENT value, on the CPU."""
        zeros: Tensor = each_part(
            input_latent["samples"], lambda part: torch.zeros_like(part, device="cpu")
        )
        return zeros


class RandomNoise:
    """The initial noise of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate_noise(self, input_latent: Mapping[str, Any]) -> Tensor:
        """For a LATENT value, on the CPU."""
        draw = current("comfy.sample.prepare_noise", prepare_noise)
        noise: Tensor = draw(input_latent["samples"], self.seed, input_latent.get("batch_index"))
        return noise


class GivenNoise:
    """Noise that is there already: that which moves along with a film, say."""

    seed = 0  # of what samplers draw on the way

    def __init__(self, noise: Tensor) -> None:
        self._noise = noise

    def generate_noise(self, input_latent: Mapping[str, Any]) -> Tensor:
        """For a LATENT value, on the CPU; one item serves a whole batch.

        Raises InvalidInput for a latent of another shape.
        """
        shape = input_latent["samples"].shape
        if self._noise.shape[1:] != shape[1:] or self._noise.shape[0] not in (1, shape[0]):
            raise InvalidInput(
                f"this noise is for latents of the shape {list(self._noise.shape)}, and the latent "
                f"to start from has the shape {list(shape)}"
            )
        return self._noise.to("cpu", torch.float32).expand(shape).clone()
