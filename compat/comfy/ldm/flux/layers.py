"""Layers of Flux."""

from __future__ import annotations

from comfy.ldm.modules.diffusionmodules.util import timestep_embedding as _embedding
from comfy.not_yet import absent
from torch import Tensor


def timestep_embedding(
    t: Tensor, dim: int, max_period: float = 10000, time_factor: float = 1000.0
) -> Tensor:
    """Cosines and sines of times in 0..1."""
    return _embedding(t * time_factor, dim, max_period).to(t)


__getattr__ = absent(
    __name__,
    layers=(
        "DoubleStreamBlock SingleStreamBlock EmbedND LastLayer MLPEmbedder Modulation "
        "QKNorm RMSNorm SelfAttention ModulationOut"
    ),
    functions="apply_mod",
)
