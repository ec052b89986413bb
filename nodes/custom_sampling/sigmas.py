"""Nodes that change lists of sigmas, or read them from a model or a text."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from models.handle import ModelHandle
from models.sampling import sigma_lists
from nodes.base import inputs
from nodes.custom_sampling.base import CustomSamplingNode, exact, number


class _SigmasNode(CustomSamplingNode):
    """A node that makes sigmas of sigmas."""

    CATEGORY = "sampling/custom_sampling/sigmas"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("SIGMAS",)


class SplitSigmas(_SigmasNode):
    """Cuts a list in two, for two samplers after each other."""

    REQUIRED = inputs(sigmas=("SIGMAS", {}), step=("INT", {"default": 0, "min": 0, "max": 10000}))
    RETURN_TYPES = ("SIGMAS", "SIGMAS")
    RETURN_NAMES = ("high_sigmas", "low_sigmas")

    def run(self, sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The sigma at the cut is in both."""
        return sigma_lists.split(sigmas, step)


class SplitSigmasDenoise(_SigmasNode):
    """Cuts a list in two where a share of the steps is left."""

    REQUIRED = inputs(sigmas=("SIGMAS", {}), denoise=number(1.0, 0.0, 1.0))
    RETURN_TYPES = ("SIGMAS", "SIGMAS")
    RETURN_NAMES = ("high_sigmas", "low_sigmas")

    def run(self, sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
        """The sigma at the cut is in both."""
        return sigma_lists.split_by_denoise(sigmas, denoise)


class FlipSigmas(_SigmasNode):
    """Turns a list round, for samplers that add noise."""

    REQUIRED = inputs(sigmas=("SIGMAS", {}))

    def run(self, sigmas: Tensor) -> tuple[Tensor]:
        """A leading 0 becomes a little more."""
        return (sigma_lists.flip(sigmas),)


class SetFirstSigma(_SigmasNode):
    """Puts in another first sigma."""

    REQUIRED = inputs(sigmas=("SIGMAS", {}), sigma=exact(136.0, 0.0, 20000.0, 0.001))

    def run(self, sigmas: Tensor, sigma: float) -> tuple[Tensor]:
        """The others stay."""
        return (sigma_lists.with_first(sigmas, sigma),)


class ExtendIntermediateSigmas(_SigmasNode):
    """Divides steps into smaller ones."""

    REQUIRED = inputs(
        sigmas=("SIGMAS", {}),
        steps=("INT", {"default": 2, "min": 1, "max": 100}),
        start_at_sigma=exact(-1.0, -1.0, 20000.0),
        end_at_sigma=exact(12.0, 0.0, 20000.0),
        spacing=(list(sigma_lists.SPACINGS),),
    )

    def run(
        self,
        sigmas: Tensor,
        steps: int,
        start_at_sigma: float,
        end_at_sigma: float,
        spacing: str,
    ) -> tuple[Tensor]:
        """Only steps that start between the two sigmas; a negative one means all above."""
        return (sigma_lists.extended(sigmas, steps, start_at_sigma, end_at_sigma, spacing),)


class ManualSigmas(_SigmasNode):
    """Takes the numbers of a text."""

    CATEGORY = "_for_testing/custom_sampling"
    EXPERIMENTAL = True
    REQUIRED = inputs(sigmas=("STRING", {"default": "1, 0.5", "multiline": False}))

    def run(self, sigmas: str) -> tuple[Tensor]:
        """Whatever is between the numbers does not matter."""
        return (sigma_lists.parsed(sigmas),)


class SamplingPercentToSigma(_SigmasNode):
    """The noise level after a fraction of a run."""

    REQUIRED = inputs(
        model=("MODEL", {}),
        sampling_percent=number(0.0, 0.0, 1.0, 0.0001),
        return_actual_sigma=("BOOLEAN", {"default": False}),
    )
    RETURN_TYPES = ("FLOAT",)
    RETURN_NAMES = ("sigma_value",)

    def run(
        self, model: ModelHandle, sampling_percent: float, return_actual_sigma: bool
    ) -> tuple[float]:
        """At the ends a value that contains all levels, or the model's own level if asked for."""
        sampling = model.get_model_object("model_sampling")
        if return_actual_sigma and sampling_percent in (0.0, 1.0):
            return (float(sampling.sigma_min if sampling_percent else sampling.sigma_max),)
        return (float(sampling.percent_to_sigma(sampling_percent)),)
