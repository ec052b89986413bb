"""Schedulers: which of a model's noise levels a run of n steps visits.

Each takes a schedule and a number of steps and returns sigmas in falling order, float32 on the
CPU, mostly n + 1 of them with a final 0. Lists of other lengths are part of the definitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from models.sampling import sigma_ranges
from models.sampling.schedule import Schedule
from models.sampling.sigma_ranges import then_zero

Scheduler = Callable[[Schedule, int], Tensor]

# Samplers that look one step ahead: the last sigma before 0 is left out of one step more.
SKIPS_PENULTIMATE = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})


def _is_zero(sigma: float) -> bool:
    return math.isclose(sigma, 0.0, abs_tol=1e-5)


def simple(schedule: Schedule, steps: int) -> Tensor:
    """Entries of the table at equal distances, from the last one down."""
    stride = len(schedule.sigmas) / steps
    picks = [-(1 + int(i * stride)) for i in range(steps)]
    return then_zero(schedule.sigmas[picks])


def _equal_times(schedule: Schedule, count: int) -> Tensor:
    ends = schedule.timestep(torch.tensor([schedule.sigma_max, schedule.sigma_min]))
    return torch.linspace(float(ends[0]), float(ends[1]), count)


def normal(schedule: Schedule, steps: int) -> Tensor:
    """Equal distances in time, both ends of the schedule included."""
    if _is_zero(schedule.sigma_min):
        return schedule.sigma(_equal_times(schedule, steps + 1))
    return then_zero(schedule.sigma(_equal_times(schedule, steps)))


def sgm_uniform(schedule: Schedule, steps: int) -> Tensor:
    """Equal distances in time, the last one leading to 0 instead of the smallest sigma."""
    return then_zero(schedule.sigma(_equal_times(schedule, steps + 1)[:-1]))


def karras(schedule: Schedule, steps: int, rho: float = 7.0) -> Tensor:
    """Equal distances in sigma^(1/rho) (Karras et al. 2022, equation 5)."""
    return sigma_ranges.karras(steps, schedule.sigma_min, schedule.sigma_max, rho)


def exponential(schedule: Schedule, steps: int) -> Tensor:
    """Equal distances in log sigma."""
    return sigma_ranges.exponential(steps, schedule.sigma_min, schedule.sigma_max)


def ddim_uniform(schedule: Schedule, steps: int) -> Tensor:
    """Every k-th entry of the table from its second on; often not steps + 1 long."""
    table = schedule.sigmas
    ends_in_table = _is_zero(float(table[1]))
    stride = max(len(table) // (steps + 1 if ends_in_table else steps), 1)
    rising = table[1::stride]
    return rising.flip(0) if ends_in_table else then_zero(rising.flip(0))


def beta(schedule: Schedule, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Entries at quantiles of a beta distribution (Lee et al. 2024); repeats are dropped."""
    import scipy.stats

    quantiles = scipy.stats.beta.ppf(1 - np.linspace(0, 1, steps, endpoint=False), alpha, beta)
    picks = np.rint(quantiles * (len(schedule.sigmas) - 1)).astype(int)
    kept = [int(p) for i, p in enumerate(picks) if i == 0 or p != picks[i - 1]]
    return then_zero(schedule.sigmas[kept])


def linear_quadratic(schedule: Schedule, steps: int, threshold: float = 0.025) -> Tensor:
    """Half the steps take off a small amount of noise evenly, the others go on as a parabola.

    The parabola continues the line with the same slope and reaches 0 at the last step.
    """
    if steps == 1:
        return torch.tensor([schedule.sigma_max, 0.0])
    linear = steps // 2
    slope = threshold / linear
    bend = (1.0 - slope * steps) / (steps - linear) ** 2
    step = torch.arange(steps + 1, dtype=torch.float64)
    removed = slope * step + bend * (step - linear).clamp(min=0) ** 2
    removed[-1] = 1.0
    return (1.0 - removed).float() * schedule.sigma_max


def kl_optimal(schedule: Schedule, steps: int) -> Tensor:
    """Equal distances in atan sigma (Sabour et al. 2024, theorem 3.1); NaN for a single step."""
    return sigma_ranges.kl_optimal(steps, schedule.sigma_min, schedule.sigma_max)


SCHEDULERS: Mapping[str, Scheduler] = {
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "karras": karras,
    "exponential": exponential,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "normal": normal,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": kl_optimal,
}


def calculate_sigmas(schedule: Schedule, scheduler: str, steps: int) -> Tensor:
    """The sigmas of a named scheduler; an unknown name means simple, as ComfyUI has it."""
    return SCHEDULERS.get(scheduler, simple)(schedule, steps)


def sigmas_for_run(
    schedule: Schedule, scheduler: str, steps: int, *, sampler_name: str, denoise: float = 1.0
) -> Tensor:
    """The sigmas a sampler runs through: the last `steps` of steps / denoise.

    Empty if denoise is 0 or less.
    """
    if denoise <= 0.0:
        return torch.empty(0)
    if denoise > 0.9999:
        return _with_look_ahead(schedule, scheduler, steps, sampler_name)
    sigmas = _with_look_ahead(schedule, scheduler, int(steps / denoise), sampler_name)
    return sigmas[-(steps + 1) :]


def _with_look_ahead(schedule: Schedule, scheduler: str, steps: int, sampler_name: str) -> Tensor:
    if sampler_name not in SKIPS_PENULTIMATE:
        return calculate_sigmas(schedule, scheduler, steps)
    sigmas = calculate_sigmas(schedule, scheduler, steps + 1)
    return torch.cat([sigmas[:-2], sigmas[-1:]])
