"""Nodes that make lists of sigmas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.protocol.sampling import SCHEDULER_NAMES, beta_scheduler, calculate_sigmas
from models.sampling import sigma_ranges, tabulated
from models.sampling.sigma_ranges import then_zero
from nodes.base import inputs
from nodes.custom_sampling.base import CustomSamplingNode, exact, number, steps

_DENOISE = number(1.0, 0.0, 1.0)
_SIGMA_MAX = exact(14.614642, 0.0, 5000.0)
_SIGMA_MIN = exact(0.0291675, 0.0, 5000.0)
_TURBO_TIMES = 10  # the steps that SD-Turbo was distilled to


class _SchedulerNode(CustomSamplingNode):
    """A node that makes a list of sigmas."""

    CATEGORY = "sampling/custom_sampling/schedulers"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("SIGMAS",)


class BasicScheduler(_SchedulerNode):
    """The sigmas that KSampler would take."""

    REQUIRED = inputs(
        model=("MODEL", {}), scheduler=(SCHEDULER_NAMES,), steps=steps(), denoise=_DENOISE
    )

    def run(self, model: ModelHandle, scheduler: str, steps: int, denoise: float) -> tuple[Tensor]:
        """`denoise` below 1 keeps the last `steps` of a longer list."""
        if denoise <= 0.0:
            return (torch.empty(0),)
        sampling = model.get_model_object("model_sampling")
        total = int(steps / denoise) if denoise < 1.0 else steps
        return (calculate_sigmas(sampling, scheduler, total).cpu()[-(steps + 1) :],)


class KarrasScheduler(_SchedulerNode):
    """Equal distances in a root of sigma."""

    REQUIRED = inputs(
        steps=steps(),
        sigma_max=_SIGMA_MAX,
        sigma_min=_SIGMA_MIN,
        rho=exact(7.0, 0.0, 100.0),
    )

    def run(self, steps: int, sigma_max: float, sigma_min: float, rho: float) -> tuple[Tensor]:
        """`rho` is the degree of the root."""
        return (sigma_ranges.karras(steps, sigma_min, sigma_max, rho),)


class ExponentialScheduler(_SchedulerNode):
    """Equal distances in log sigma."""

    REQUIRED = inputs(steps=steps(), sigma_max=_SIGMA_MAX, sigma_min=_SIGMA_MIN)

    def run(self, steps: int, sigma_max: float, sigma_min: float) -> tuple[Tensor]:
        """Ends in 0."""
        return (sigma_ranges.exponential(steps, sigma_min, sigma_max),)


class PolyexponentialScheduler(_SchedulerNode):
    """Distances in log sigma that follow a power."""

    REQUIRED = inputs(
        steps=steps(),
        sigma_max=_SIGMA_MAX,
        sigma_min=_SIGMA_MIN,
        rho=exact(1.0, 0.0, 100.0),
    )

    def run(self, steps: int, sigma_max: float, sigma_min: float, rho: float) -> tuple[Tensor]:
        """`rho` is the power."""
        return (sigma_ranges.polyexponential(steps, sigma_min, sigma_max, rho),)


class LaplaceScheduler(_SchedulerNode):
    """Most steps near one noise level."""

    REQUIRED = inputs(
        steps=steps(),
        sigma_max=_SIGMA_MAX,
        sigma_min=_SIGMA_MIN,
        mu=exact(0.0, -10.0, 10.0, 0.1),
        beta=exact(0.5, 0.0, 10.0, 0.1),
    )

    def run(
        self, steps: int, sigma_max: float, sigma_min: float, mu: float, beta: float
    ) -> tuple[Tensor]:
        """`mu` is the logarithm of that level, `beta` the spread around it."""
        return (sigma_ranges.laplace(steps, sigma_min, sigma_max, mu, beta),)


class VPScheduler(_SchedulerNode):
    """Equal times of the variance preserving process."""

    REQUIRED = inputs(
        steps=steps(),
        beta_d=exact(19.9, 0.0, 5000.0),
        beta_min=exact(0.1, 0.0, 5000.0),
        eps_s=exact(0.001, 0.0, 1.0, 0.0001),
    )

    def run(self, steps: int, beta_d: float, beta_min: float, eps_s: float) -> tuple[Tensor]:
        """`eps_s` is the time of the last step."""
        return (sigma_ranges.variance_preserving(steps, beta_d, beta_min, eps_s),)


class SDTurboScheduler(_SchedulerNode):
    """The ten noise levels that SD-Turbo knows (Sauer et al. 2023)."""

    REQUIRED = inputs(
        model=("MODEL", {}), steps=steps(1, 1, _TURBO_TIMES), denoise=number(1.0, 0, 1.0)
    )

    def run(self, model: ModelHandle, steps: int, denoise: float) -> tuple[Tensor]:
        """`denoise` below 1 starts later, so that fewer steps may be left."""
        first = _TURBO_TIMES - int(_TURBO_TIMES * denoise)
        times = torch.arange(_TURBO_TIMES, 0, -1)[first : first + steps] * 100 - 1
        sampling = model.get_model_object("model_sampling")
        return (then_zero(sampling.sigma(times).cpu()),)


class BetaSamplingScheduler(_SchedulerNode):
    """Quantiles of a beta distribution over the model's noise levels."""

    REQUIRED = inputs(
        model=("MODEL", {}),
        steps=steps(),
        alpha=exact(0.6, 0.0, 50.0),
        beta=exact(0.6, 0.0, 50.0),
    )

    def run(self, model: ModelHandle, steps: int, alpha: float, beta: float) -> tuple[Tensor]:
        """Levels that come twice are dropped."""
        sampling = model.get_model_object("model_sampling")
        return (beta_scheduler(sampling, steps, alpha=alpha, beta=beta),)


class AlignYourStepsScheduler(_SchedulerNode):
    """Noise levels optimised for Stable Diffusion 1, XL and Video."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_align_your_steps"
    REQUIRED = inputs(model_type=(["SD1", "SDXL", "SVD"],), steps=steps(10), denoise=_DENOISE)

    def run(self, model_type: str, steps: int, denoise: float) -> tuple[Tensor]:
        """Other numbers of steps than 10 are interpolated."""
        return (tabulated.align_your_steps(model_type, steps, denoise),)


class OptimalStepsScheduler(_SchedulerNode):
    """Noise levels optimised for FLUX, Wan and Chroma."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_optimalsteps"
    REQUIRED = inputs(
        model_type=(["FLUX", "Wan", "Chroma"],), steps=steps(20, 3, 1000), denoise=_DENOISE
    )

    def run(self, model_type: str, steps: int, denoise: float) -> tuple[Tensor]:
        """Other numbers of steps than those published are interpolated."""
        return (tabulated.optimal_steps(model_type, steps, denoise),)


class LTXVScheduler(_SchedulerNode):
    """The flow times of LTX-Video."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt"
    REQUIRED = inputs(
        steps=steps(),
        max_shift=number(2.05, 0.0, 100.0),
        base_shift=number(0.95, 0.0, 100.0),
        stretch=("BOOLEAN", {"default": True}),
        terminal=number(0.1, 0.0, 0.99),
    )
    OPTIONAL = inputs(latent=("LATENT", {}))

    def run(
        self,
        steps: int,
        max_shift: float,
        base_shift: float,
        stretch: bool,
        terminal: float,
        latent: Mapping[str, Any] | None = None,
    ) -> tuple[Tensor]:
        """`latent` tells the video's length; with `stretch` the last time but 0 is `terminal`."""
        tokens = 4096 if latent is None else latent["samples"].shape[2:].numel()
        mu = sigma_ranges.ltxv_mu(tokens, base_shift=base_shift, max_shift=max_shift)
        times = sigma_ranges.shifted_flow_times(steps, mu)
        return (sigma_ranges.stretched(times, terminal) if stretch else times,)


class Flux2Scheduler(_SchedulerNode):
    """The flow times of FLUX.2."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_flux"
    REQUIRED = inputs(
        steps=steps(20, 1, 4096),
        width=("INT", {"default": 1024, "min": 16, "max": 16384, "step": 1}),
        height=("INT", {"default": 1024, "min": 16, "max": 16384, "step": 1}),
    )

    def run(self, steps: int, width: int, height: int) -> tuple[Tensor]:
        """Sizes are in pixels."""
        return (sigma_ranges.flux2(steps, width, height),)


class Ideogram4Scheduler(_SchedulerNode):
    """The flow times of Ideogram 4."""

    DISPLAY_NAME = "Ideogram 4 Scheduler"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_ideogram4"
    REQUIRED = inputs(
        steps=steps(20, 1, 200),
        width=("INT", {"default": 1024, "min": 256, "max": 8192, "step": 16}),
        height=("INT", {"default": 1024, "min": 256, "max": 8192, "step": 16}),
        mu=number(0.0, -10.0, 10.0, 0.05),
        std=number(1.75, 0.1, 5.0, 0.05),
    )

    def run(self, steps: int, width: int, height: int, mu: float, std: float) -> tuple[Tensor]:
        """`mu` is the mean logit for 512 x 512 pixels, `std` its deviation."""
        mean = mu + 0.5 * math.log(width * height / 512**2)
        return (sigma_ranges.logit_normal(steps, mean, std),)
