"""Sampling by names and steps, for models with the object protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from models.joint_latent import JointLatent, each_part
from models.protocol.guider import CFGGuider
from models.protocol.joint import check_joint
from models.protocol.k_samplers import sampler_object
from models.protocol.object_schedule import ObjectSchedule
from models.protocol.replaced import current, is_any_replaced
from models.sampling import sample as plain
from models.sampling import schedulers, sigma_ranges
from models.sampling.noise import prepare_noise
from models.sampling.samplers import SAMPLERS
from models.sampling.schedule import Schedule
from models.sampling.schedulers import SCHEDULERS, SKIPS_PENULTIMATE

# Lists of names that packs add to; nodes offer these very lists.
SAMPLER_NAMES: list[str] = list(SAMPLERS)
SCHEDULER_NAMES: list[str] = list(SCHEDULERS)


@dataclass
class SchedulerHandler:
    """A scheduler by name; without `use_ms` it takes n, sigma_min and sigma_max."""

    handler: Callable[..., Tensor]
    use_ms: bool = True


def _ours(scheduler: Callable[[Schedule, int], Tensor]) -> Callable[..., Tensor]:
    def sigmas(model_sampling: Any, steps: int, **options: Any) -> Tensor:
        return scheduler(ObjectSchedule(model_sampling), steps, **options)

    sigmas.__name__, sigmas.__doc__ = f"{scheduler.__name__}_scheduler", scheduler.__doc__
    return sigmas


simple_scheduler = _ours(schedulers.simple)
ddim_scheduler = _ours(schedulers.ddim_uniform)
beta_scheduler = _ours(schedulers.beta)
linear_quadratic_schedule = _ours(schedulers.linear_quadratic)


def normal_scheduler(
    model_sampling: Any, steps: int, sgm: bool = False, floor: bool = False
) -> Tensor:
    """Equal distances in time; `sgm` leaves the last one to 0."""
    scheduler = schedulers.sgm_uniform if sgm else schedulers.normal
    return scheduler(ObjectSchedule(model_sampling), steps)


def kl_optimal_scheduler(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Equal distances in atan sigma (Sabour et al. 2024)."""
    return sigma_ranges.kl_optimal(n, float(sigma_min), float(sigma_max))


SCHEDULER_HANDLERS: dict[str, SchedulerHandler] = {
    name: SchedulerHandler(_ours(scheduler)) for name, scheduler in SCHEDULERS.items()
}


def calculate_sigmas(model_sampling: Any, scheduler_name: str, steps: int) -> Tensor:
    """The sigmas of a named scheduler; ValueError for a name that nobody knows."""
    handler = SCHEDULER_HANDLERS.get(scheduler_name)
    if handler is None:
        raise ValueError(f"there is no scheduler '{scheduler_name}'")
    if handler.use_ms:
        return handler.handler(model_sampling, steps)
    return handler.handler(
        n=steps,
        sigma_min=float(model_sampling.sigma_min),
        sigma_max=float(model_sampling.sigma_max),
    )


class KSampler:
    """A run by names and steps."""

    SCHEDULERS = SCHEDULER_NAMES
    SAMPLERS = SAMPLER_NAMES
    DISCARD_PENULTIMATE_SIGMA_SAMPLERS: ClassVar[set[str]] = set(SKIPS_PENULTIMATE)

    def __init__(
        self,
        model: Any,
        steps: int,
        device: Any,
        sampler: str | None = None,
        scheduler: str | None = None,
        denoise: float | None = None,
        model_options: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.device = device
        # Unknown names mean the first ones, as in ComfyUI; nodes check them earlier.
        self.scheduler = scheduler if scheduler in self.SCHEDULERS else self.SCHEDULERS[0]
        self.sampler = sampler if sampler in self.SAMPLERS else self.SAMPLERS[0]
        self.denoise = denoise
        self.model_options = model_options if model_options is not None else {}
        self.set_steps(steps, denoise)

    def calculate_sigmas(self, steps: int) -> Tensor:
        """The sigmas of so many steps, as the sampler wants them."""
        sampling = self.model.get_model_object("model_sampling")
        calculate = current("comfy.samplers.calculate_sigmas", calculate_sigmas)
        discards = self.sampler in self.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        sigmas: Tensor = calculate(sampling, self.scheduler, steps + discards)
        if not discards:
            return sigmas
        return torch.cat([sigmas[:-2], sigmas[-1:]])

    def set_steps(self, steps: int, denoise: float | None = None) -> None:
        """Set `sigmas`: the last `steps` of steps / denoise."""
        self.steps = steps
        if denoise is None or denoise > 0.9999:
            self.sigmas = self.calculate_sigmas(steps)
        elif denoise <= 0.0:
            self.sigmas = torch.empty(0)
        else:
            self.sigmas = self.calculate_sigmas(int(steps / denoise))[-(steps + 1) :]

    def sample(
        self,
        noise: Tensor,
        positive: Sequence[Any],
        negative: Sequence[Any],
        cfg: float,
        latent_image: Tensor | None = None,
        start_step: int | None = None,
        last_step: int | None = None,
        force_full_denoise: bool = False,
        denoise_mask: Tensor | None = None,
        sigmas: Tensor | None = None,
        callback: Callable[..., Any] | None = None,
        disable_pbar: bool = False,
        seed: int | None = None,
    ) -> Tensor:
        """The finished latent in raw VAE units, on the CPU."""
        part = plain.cut(
            self.sigmas if sigmas is None else sigmas, start_step, last_step, force_full_denoise
        )
        if len(part) == 0:
            return torch.zeros_like(noise) if latent_image is None else latent_image
        sampler = current("comfy.samplers.sampler_object", sampler_object)(self.sampler)
        run = current("comfy.samplers.sample", sample)
        result: Tensor = run(
            self.model, noise, positive, negative, cfg, self.device, sampler, part.clone(),
            self.model_options, latent_image=latent_image, denoise_mask=denoise_mask,
            callback=callback, disable_pbar=disable_pbar, seed=seed,
        )  # fmt: skip
        return result


def sample(
    model: Any,
    noise: Tensor,
    positive: Sequence[Any],
    negative: Sequence[Any],
    cfg: float,
    device: Any,
    sampler: Any,
    sigmas: Tensor,
    model_options: dict[str, Any] | None = None,
    latent_image: Tensor | None = None,
    denoise_mask: Tensor | None = None,
    callback: Callable[..., Any] | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """A run with classifier-free guidance."""
    guider = current("comfy.samplers.CFGGuider", CFGGuider)(model)
    if model_options:
        guider.model_options = model_options
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    latent = torch.zeros_like(noise) if latent_image is None else latent_image
    result: Tensor = guider.sample(
        noise, latent, sampler, sigmas, denoise_mask, callback, disable_pbar, seed
    )
    return result


def sample_by_names(
    model: Any,
    noise: Tensor,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Sequence[Any],
    negative: Sequence[Any],
    latent_image: Tensor,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    noise_mask: Tensor | None = None,
    sigmas: Tensor | None = None,
    callback: Callable[..., Any] | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """The finished latent in raw VAE units; what the KSampler nodes do."""
    run = current("comfy.samplers.KSampler", KSampler)(
        model,
        steps=steps,
        device=model.load_device,
        sampler=sampler_name,
        scheduler=scheduler,
        denoise=denoise,
        model_options=model.model_options,
    )
    result: Tensor = run.sample(
        each_part(noise, torch.zeros_like) if disable_noise else noise,
        positive,
        negative,
        cfg=cfg,
        latent_image=latent_image,
        start_step=start_step,
        last_step=last_step,
        force_full_denoise=force_full_denoise,
        denoise_mask=noise_mask,
        sigmas=sigmas,
        callback=callback,
        disable_pbar=disable_pbar,
        seed=seed,
    )
    return result


def fit_channels(model: Any, latent: Tensor) -> Tensor:
    """Give an all-zero latent [B, C, ...] the number of channels of a model (a ModelPatcher).

    For a model of films that of a picture is a film of one frame.
    """
    space = model.get_model_object("latent_format")
    channels = space.latent_channels
    if space.latent_dimensions == 3 and latent.ndim == 4:
        latent = latent[:, :, None]
    if latent.shape[1] == channels or latent.count_nonzero():
        return latent
    return latent.new_zeros(latent.shape[0], channels, *latent.shape[2:])


# How many pixels, or samples of a sound, an element of an empty latent stands for.
RATIOS: Final = ("downscale_ratio_spacial", "downscale_ratio_temporal")
_USUAL: Final = (
    4,
    8,
)  # channels of the latents of EmptyLatentImage, which say no ratio, and theirs


def fit_sides(model: Any, latent: Mapping[str, Any]) -> dict[str, Any]:
    """A LATENT without what it says of its ratios.

    One of zeros whose elements stand for more or fewer pixels than the model's gets other sides.
    """
    fit = {name: value for name, value in latent.items() if name not in RATIOS}
    samples: Tensor = latent["samples"]
    space = model.get_model_object("latent_format")
    ratio = latent.get(RATIOS[0])
    if ratio is None and samples.shape[1] == _USUAL[0] != space.latent_channels:
        ratio = _USUAL[1]
    own = getattr(space, "spacial_downscale_ratio", ratio)
    if ratio is not None and ratio != own and not samples.count_nonzero():
        sides = (max(1, round(side * ratio / own)) for side in samples.shape[-2:])
        fit["samples"] = samples.new_zeros(*samples.shape[:-2], *sides)
    return fit


def fitted(model: Any, latent: Mapping[str, Any]) -> dict[str, Any]:
    """A LATENT as a model takes it. Raises InvalidInput for one of another model."""
    if isinstance(latent["samples"], JointLatent):
        check_joint(model, latent["samples"])
        return dict(latent)
    started = fit_sides(model, latent)
    fit = current("comfy.sample.fix_empty_latent_channels", fit_channels)
    samples: Tensor = fit(model, started["samples"])
    # Models of packs may take anything.
    if isinstance(model, ModelHandle):
        space = model.model.latent_format
        if samples.ndim != space.latent_dimensions + 2 or samples.shape[1] != space.channels:
            raise InvalidInput(
                f"this model takes latents of {space.channels} channels in "
                f"{space.latent_dimensions} dimensions, and was given one of the shape "
                f"{list(samples.shape)}: begin with an empty latent of its kind, or encode with "
                "its VAE"
            )
    return started | {"samples": samples}


def sample_latent(
    model: Any, latent: Mapping[str, Any], *, seed: int, **options: Any
) -> dict[str, Any]:
    """models.sampling.sample.sample_latent for any ModelPatcher, with all that packs put into it.

    A handle of ours that nobody changed takes the short way; both give the same latent.
    """
    latent = fitted(model, latent)
    samples: Tensor = latent["samples"]
    conds = (*options["positive"], *options["negative"])
    ours = isinstance(model, ModelHandle) and not model.is_customised and not is_any_replaced()
    known = options["sampler_name"] in SAMPLERS and options["scheduler"] in SCHEDULERS
    if ours and known and not any(_is_customised(cond) for _, cond in conds):
        return plain.sample_latent(model, latent, seed=seed, **options)
    if options.get("disable_noise"):
        noise = each_part(samples, torch.zeros_like)
    else:
        draw = current("comfy.sample.prepare_noise", prepare_noise)
        noise = draw(samples, seed, latent.get("batch_index"))
    progress = options.pop("callback", None)

    def report(step: int, denoised: Tensor, x: Tensor, total: int) -> None:
        if progress is not None:
            progress(step, total, denoised, x)

    # Packs that put theirs in this place know the first ones by position.
    order = ("steps", "cfg", "sampler_name", "scheduler", "positive", "negative")
    result = current("comfy.sample.sample", sample_by_names)(
        model,
        noise,
        *(options.pop(name) for name in order),
        samples,
        noise_mask=latent.get("noise_mask"),
        callback=report,
        seed=seed,
        **options,
    )
    return {**latent, "samples": result}


_LONG_WAY: Final = (
    "control", "hooks", "model_conds", "default", "gligen",
    "clip_start_percent", "clip_end_percent", "concat_latent_image", "reference_latents",
)  # fmt: skip


def _is_customised(options: Mapping[str, Any]) -> bool:
    """Whether a conditioning says things that only the long way reads."""
    return any(options.get(name) is not None for name in _LONG_WAY)
