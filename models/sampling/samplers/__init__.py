"""Samplers: one function per algorithm, all with the same parameters in the same order."""

from models.sampling.samplers.registry import SAMPLERS
from models.sampling.samplers.sampler import Sampler

__all__ = ["SAMPLERS", "Sampler"]
