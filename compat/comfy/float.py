"""ComfyUI's `comfy.float`: rounding to 8 bits by chance, so that errors average out."""

from __future__ import annotations

import torch
from torch import Tensor

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_MANTISSA_BITS = {torch.float8_e4m3fn: 3, torch.float8_e5m2: 2}
_LOWEST_EXPONENT = {torch.float8_e4m3fn: -6, torch.float8_e5m2: -14}


def stochastic_rounding(value: Tensor, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """`value` in `dtype`; types of 8 bits are rounded up or down by chance, by nearness."""
    if dtype not in _FLOAT8:
        return value.to(dtype)
    generator = torch.Generator(device=value.device).manual_seed(seed)
    limits = torch.finfo(dtype)
    exact = value.float().clamp(limits.min, limits.max)
    # The distance between neighbours of the type, from the exponent of each value.
    exponent = exact.abs().clamp(min=2.0 ** _LOWEST_EXPONENT[dtype]).log2().floor()
    step = torch.exp2(exponent - _MANTISSA_BITS[dtype])
    chance = torch.rand(exact.shape, generator=generator, device=exact.device)
    return (torch.floor(exact / step + chance) * step).clamp(limits.min, limits.max).to(dtype)
