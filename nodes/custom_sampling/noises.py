"""Nodes that make noise, or add it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.handle import ModelHandle
from models.protocol import noise_objects
from models.protocol.custom import Noise, add_noise
from nodes.base import inputs
from nodes.custom_sampling.base import CustomSamplingNode
from nodes.sampling import SEED


class RandomNoise(CustomSamplingNode):
    """The noise of a seed."""

    CATEGORY = "sampling/custom_sampling/noise"
    REQUIRED = inputs(noise_seed=SEED)
    RETURN_TYPES = ("NOISE",)

    def run(self, noise_seed: int) -> tuple[Noise]:
        """What a sampler draws on the way comes from the same seed."""
        return (noise_objects.RandomNoise(noise_seed),)


class DisableNoise(CustomSamplingNode):
    """No noise, for a latent that has some."""

    CATEGORY = "sampling/custom_sampling/noise"
    RETURN_TYPES = ("NOISE",)

    def run(self) -> tuple[Noise]:
        """What a sampler draws on the way comes from seed 0."""
        return (noise_objects.NoNoise(),)


class AddNoise(CustomSamplingNode):
    """Adds as much noise as a run along these sigmas takes off."""

    CATEGORY = "_for_testing/custom_sampling/noise"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",), noise=("NOISE",), sigmas=("SIGMAS",), latent_image=("LATENT",)
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self, model: ModelHandle, noise: Noise, sigmas: Tensor, latent_image: Mapping[str, Any]
    ) -> tuple[dict[str, Any]]:
        """The model says how noise is mixed in."""
        return (add_noise(model, noise, sigmas, latent_image),)


class VOIDWarpedNoiseSource(CustomSamplingNode):
    """A latent as the noise to start from."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_void"
    CATEGORY = "sampling/custom_sampling/noise"
    REQUIRED = inputs(warped_noise=("LATENT",))
    RETURN_TYPES = ("NOISE",)

    def run(self, warped_noise: Mapping[str, Any]) -> tuple[Noise]:
        """What a sampler draws on the way comes from seed 0."""
        return (noise_objects.GivenNoise(warped_noise["samples"]),)
