"""Guiders, samplers and schedulers by name."""

import sys

from comfy.k_diffusion import sampling

from models.protocol.calculate import calc_cond_batch as calc_cond_batch
from models.protocol.calculate import cfg_function as cfg_function
from models.protocol.calculate import sampling_function as sampling_function
from models.protocol.guider import CFGGuider as CFGGuider
from models.protocol.k_samplers import KSAMPLER as KSAMPLER
from models.protocol.k_samplers import KSamplerX0Inpaint as KSamplerX0Inpaint
from models.protocol.k_samplers import Sampler as Sampler
from models.protocol.k_samplers import ksampler as ksampler
from models.protocol.k_samplers import sampler_object as sampler_object
from models.protocol.process import process_conds as process_conds
from models.protocol.replaced import show
from models.protocol.sampling import SAMPLER_NAMES as SAMPLER_NAMES
from models.protocol.sampling import SCHEDULER_HANDLERS as SCHEDULER_HANDLERS
from models.protocol.sampling import SCHEDULER_NAMES as SCHEDULER_NAMES
from models.protocol.sampling import KSampler as KSampler
from models.protocol.sampling import SchedulerHandler as SchedulerHandler
from models.protocol.sampling import beta_scheduler as beta_scheduler
from models.protocol.sampling import calculate_sigmas as calculate_sigmas
from models.protocol.sampling import ddim_scheduler as ddim_scheduler
from models.protocol.sampling import kl_optimal_scheduler as kl_optimal_scheduler
from models.protocol.sampling import linear_quadratic_schedule as linear_quadratic_schedule
from models.protocol.sampling import normal_scheduler as normal_scheduler
from models.protocol.sampling import sample as sample
from models.protocol.sampling import simple_scheduler as simple_scheduler

k_diffusion_sampling = sampling

# The names that k-diffusion has a function for; ddim and uni_pc are made in other ways.
KSAMPLER_NAMES = [n for n in SAMPLER_NAMES if n not in ("ddim", "uni_pc", "uni_pc_bh2")]

show(
    sys.modules[__name__],
    "CFGGuider",
    "KSampler",
    "calc_cond_batch",
    "calculate_sigmas",
    "cfg_function",
    "sample",
    "sampler_object",
    "sampling_function",
)
show(KSampler, "__init__", "set_steps", "calculate_sigmas", "sample")
show(CFGGuider, "__init__", "set_conds", "sample", "outer_sample", "inner_sample", "predict_noise")
show(KSAMPLER, "sample")
