"""Our samplers under the interface of k-diffusion: ``sample_NAME(model, x, sigmas, ...)``.

``model(x, sigma, **extra_args)`` predicts the clean latent, sigma being [B]. Packs add functions
of their own to this module, which then are samplers by that name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.protocol import options as model_option
from models.protocol.calculate import mark_level
from models.protocol.object_schedule import ObjectSchedule
from models.sampling import sigma_ranges
from models.sampling.noise import NoiseSampler, brownian_noise, step_noise
from models.sampling.samplers import SAMPLERS, Sampler
from models.sampling.samplers.ancestral import additive_split
from models.sampling.samplers.sampler import NoiseKind, falling_sigmas_needed, noise_of
from models.sampling.schedule import DiscreteSchedule, Schedule

Model = Callable[..., Tensor]

_OUR_NAMES = {"tau_func": "tau"}  # of options that packs know by another name

# Settings of k-diffusion's functions that ours do not have, with the values that change nothing.
_NEUTRAL: dict[str, Any] = {
    "s_churn": 0.0, "s_tmin": 0.0, "s_tmax": float("inf"), "s_noise": 1.0, "noise_device": "cpu",
}  # fmt: skip


def append_dims(x: Tensor, target_dims: int) -> Tensor:
    """x with axes added at the end; ValueError if it has more already."""
    if x.ndim > target_dims:
        raise ValueError(f"x has {x.ndim} axes, which is more than {target_dims}")
    return x.reshape(x.shape + (1,) * (target_dims - x.ndim))


def to_d(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """The slope of the probability flow ODE: ``(x - denoised) / sigma``."""
    return (x - denoised) / append_dims(sigma, x.ndim)


def get_ancestral_step(sigma_from: Any, sigma_to: Any, eta: float = 1.0) -> tuple[Any, Any]:
    """(sigma to step down to, noise to add after) of an ancestral step."""
    if not eta:
        return sigma_to, 0.0
    step = additive_split(float(sigma_from), float(sigma_to), eta)
    if isinstance(sigma_to, Tensor):
        return sigma_to.new_tensor(step.down), sigma_to.new_tensor(step.up)
    return step.down, step.up


def get_sigmas_karras(
    n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: Any = "cpu"
) -> Tensor:
    """n sigmas at equal distances in sigma^(1/rho), and 0."""
    return sigma_ranges.karras(n, float(sigma_min), float(sigma_max), rho).to(device)


def get_sigmas_exponential(
    n: int, sigma_min: float, sigma_max: float, device: Any = "cpu"
) -> Tensor:
    """n sigmas at equal distances in the logarithm, and 0."""
    return sigma_ranges.exponential(n, float(sigma_min), float(sigma_max)).to(device)


def get_sigmas_polyexponential(
    n: int, sigma_min: float, sigma_max: float, rho: float = 1.0, device: Any = "cpu"
) -> Tensor:
    """n sigmas along a power of a line in the logarithm, and 0."""
    return sigma_ranges.polyexponential(n, float(sigma_min), float(sigma_max), rho).to(device)


def get_sigmas_vp(
    n: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3, device: Any = "cpu"
) -> Tensor:
    """n sigmas of the continuous variance preserving process, and 0."""
    return sigma_ranges.variance_preserving(n, beta_d, beta_min, eps_s).to(device)


def get_sigmas_laplace(
    n: int,
    sigma_min: float,
    sigma_max: float,
    mu: float = 0.0,
    beta: float = 0.5,
    device: Any = "cpu",
) -> Tensor:
    """n sigmas at quantiles of a Laplace distribution of log sigma."""
    return sigma_ranges.laplace(n, float(sigma_min), float(sigma_max), mu, beta).to(device)


def default_noise_sampler(x: Tensor, seed: int | None = None) -> Callable[[Any, Any], Tensor]:
    """Fresh noise at each call; without a seed from the global generator."""
    if seed is None:
        return lambda sigma, sigma_next: torch.randn_like(x)
    return step_noise(x, seed)


class BrownianTreeNoiseSampler:
    """Noise for steps that are increments of one Brownian path."""

    def __init__(
        self,
        x: Tensor,
        sigma_min: Any,
        sigma_max: Any,
        seed: int | None = None,
        transform: Callable[[Any], Any] = lambda sigma: sigma,
        cpu: bool = False,
    ) -> None:
        self.transform = transform
        ends = [self._at(sigma_min), self._at(sigma_max)]
        if seed is None:
            seed = int(torch.randint(0, 2**63 - 1, ()))
        self._draw = brownian_noise(x, ends, seed, on_cpu=cpu)

    def _at(self, sigma: Any) -> float:
        return float(self.transform(torch.as_tensor(sigma)))

    def __call__(self, sigma: Any, sigma_next: Any) -> Tensor:
        """Unit noise of the latent's shape."""
        return self._draw(self._at(sigma), self._at(sigma_next))


class ModelDenoiser:
    """A k-diffusion model as models.sampling's Denoiser."""

    def __init__(self, model: Model, extra_args: dict[str, Any], batch: int) -> None:
        self._model = model
        self._extra = extra_args
        self._batch = batch
        self.schedule = schedule_of(model)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The (guided) prediction."""
        return self._model(x, self._levels(x, sigma), **self._extra)

    def with_unconditional(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided prediction and the one without the prompt."""
        seen: list[Tensor] = []

        def keep(args: dict[str, Any]) -> Tensor:
            seen.append(args["uncond_denoised"])
            denoised: Tensor = args["denoised"]
            return denoised

        options = dict(self._extra.get("model_options", {}))
        model_option.set_post_cfg_function(options, keep, disable_cfg1_optimization=True)
        extra = self._extra | {"model_options": options}
        denoised = self._model(x, self._levels(x, sigma), **extra)
        if not seen:
            raise InvalidInput("CFG++ samplers need a guider that calls sampling_function")
        return denoised, seen[-1]

    def _levels(self, x: Tensor, sigma: float) -> Tensor:
        return mark_level(x.new_full((self._batch,), sigma), sigma)


def schedule_of(model: Any) -> Schedule:
    """The schedule of the model inside; that of Stable Diffusion for models that have none."""
    seen = 0
    while model is not None and seen < 8:
        sampling = getattr(model, "model_sampling", None)
        if sampling is not None:
            return ObjectSchedule(sampling)
        model, seen = getattr(model, "inner_model", None), seen + 1
    return DiscreteSchedule()


def run(
    sampler: Sampler,
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], Any] | None = None,
    disable: bool | None = None,
    noise_sampler: Callable[[Any, Any], Tensor] | None = None,
    **options: Any,
) -> Tensor:
    """Run one of our samplers on a k-diffusion model."""
    if len(sigmas) < 2:
        return x
    extra = dict(extra_args or {})
    levels: list[float] = sigmas.tolist()
    if levels[-1] == 0 and sampler.last_sigma:
        # The caller's list is changed, too: the end of the run is scaled by what it says.
        levels[-1] = sampler.last_sigma
        sigmas[-1] = sampler.last_sigma

    def report(step: int, at: Tensor, denoised: Tensor) -> None:
        if callback is not None:
            sigma = sigmas[min(step, len(sigmas) - 1)]
            callback({"x": at, "i": step, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})

    with falling_sigmas_needed(levels):
        result: Tensor = sampler.function(
            ModelDenoiser(model, extra, x.shape[0]),
            x,
            levels,
            _noise(sampler.noise, x, levels, extra.get("seed"), noise_sampler),
            report,
            **_accepted(sampler.function, {**sampler.options, **options}),
        )
    return result


def _noise(
    kind: NoiseKind,
    x: Tensor,
    sigmas: Sequence[float],
    seed: int | None,
    given: Callable[[Any, Any], Tensor] | None,
) -> NoiseSampler:
    if given is not None:
        # Functions of packs expect tensors, as k-diffusion hands them.
        return lambda sigma, after: given(x.new_tensor(sigma), x.new_tensor(after))
    if seed is not None:
        return noise_of(kind, x, sigmas, seed)
    if kind in (NoiseKind.NONE, NoiseKind.STEPS):
        return default_noise_sampler(x)
    return noise_of(kind, x, sigmas, int(torch.randint(0, 2**63 - 1, ())))


def _accepted(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Options that our function has; others may only be at values that change nothing."""
    known = inspect.signature(function).parameters
    options = {_OUR_NAMES.get(name, name): value for name, value in options.items()}
    for name, value in options.items():
        if name in known:
            continue
        if name not in _NEUTRAL:
            raise TypeError(f"{function.__name__}() has no option '{name}'")
        if value != _NEUTRAL[name]:
            raise InvalidInput(f"the option {name}={value} of this sampler is not supported yet")
    return {name: value for name, value in options.items() if name in known}


def _make(name: str, sampler: Sampler) -> Callable[..., Tensor]:
    def sample(
        model: Model,
        x: Tensor,
        sigmas: Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        disable: bool | None = None,
        noise_sampler: Callable[[Any, Any], Tensor] | None = None,
        **options: Any,
    ) -> Tensor:
        return run(
            sampler, model, x, sigmas, extra_args, callback, disable, noise_sampler, **options
        )

    sample.__name__ = sample.__qualname__ = f"sample_{name}"
    sample.__doc__ = f"The sampler `{name}`; options are those of {sampler.function.__name__}."
    return sample


for _name, _sampler in SAMPLERS.items():
    globals()[f"sample_{_name}"] = _make(_name, _sampler)


def sample_dpm_fast(
    model: Model,
    x: Tensor,
    sigma_min: Any,
    sigma_max: Any,
    n: int,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], Any] | None = None,
    disable: bool | None = None,
    **options: Any,
) -> Tensor:
    """DPM-Solver-fast with n evaluations between two noise levels."""
    ends = torch.linspace(float(sigma_max), float(sigma_min), n + 1)
    return run(SAMPLERS["dpm_fast"], model, x, ends, extra_args, callback, disable, **options)


def sample_dpm_adaptive(
    model: Model,
    x: Tensor,
    sigma_min: Any,
    sigma_max: Any,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], Any] | None = None,
    disable: bool | None = None,
    **options: Any,
) -> Tensor:
    """DPM-Solver-12 or -23 between two noise levels."""
    ends = torch.tensor([float(sigma_max), float(sigma_min)])
    return run(SAMPLERS["dpm_adaptive"], model, x, ends, extra_args, callback, disable, **options)


def __getattr__(name: str) -> Any:  # for type checkers, too: functions are added to this module
    if name in ("trange", "tqdm"):  # packs' samplers show their steps with what k-diffusion uses
        return getattr(importlib.import_module("tqdm.auto"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
