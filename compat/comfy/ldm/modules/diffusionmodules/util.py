"""Small parts of UNets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from comfy.not_yet import absent
from torch import Tensor, nn

from models.protocol.model_sampling import make_beta_schedule as make_beta_schedule


def timestep_embedding(
    timesteps: Tensor, dim: int, max_period: float = 10000, repeat_only: bool = False
) -> Tensor:
    """Cosines and sines of times [B] at falling frequencies, [B, dim] (Vaswani et al. 2017)."""
    if repeat_only:
        return timesteps[:, None].expand(-1, dim)
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    frequencies = (-math.log(max_period) * steps / half).exp()
    angles = timesteps[:, None].float() * frequencies
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return nn.functional.pad(embedding, (0, dim % 2))


def checkpoint(func: Callable[..., Any], inputs: Any, params: Any, flag: bool) -> Any:
    """The function's result; nothing is saved, as nothing is trained."""
    return func(*inputs)


def zero_module(module: nn.Module) -> nn.Module:
    """A module with all weights zero."""
    for parameter in module.parameters():
        parameter.detach().zero_()
    return module


def make_ddim_timesteps(
    ddim_discr_method: str, num_ddim_timesteps: int, num_ddpm_timesteps: int, verbose: bool = True
) -> Any:
    """Times that DDIM visits, at equal distances."""
    import numpy as np

    if ddim_discr_method != "uniform":
        raise ValueError(f"there is no way '{ddim_discr_method}' to choose times")
    stride = num_ddpm_timesteps // num_ddim_timesteps
    return np.arange(0, num_ddpm_timesteps, stride) + 1


__getattr__ = absent(__name__, layers="AlphaBlender", functions="mixed_checkpoint")
