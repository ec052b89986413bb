"""The UNet, by the name of its file in the original code."""

from __future__ import annotations

from typing import Any

from comfy.ldm.modules import attention
from comfy.ldm.modules.attention import SpatialTransformer as SpatialTransformer
from comfy.ldm.modules.attention import exists as exists
from comfy.ldm.modules.diffusionmodules import util
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding as timestep_embedding
from comfy.not_yet import absent
from torch import Tensor, nn

from models.protocol.unet import UNetModel as UNetModel

# Packs take these from here as well.
SpatialVideoTransformer = attention.SpatialVideoTransformer
AlphaBlender = util.AlphaBlender


class TimestepBlock(nn.Module):
    """A layer that takes the time's embedding, too."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """To be given by subclasses."""
        raise NotImplementedError


def forward_timestep_embed(
    ts: Any,
    x: Tensor,
    emb: Tensor,
    context: Tensor | None = None,
    transformer_options: dict[str, Any] | None = None,
    output_shape: Any = None,
    **kwargs: Any,
) -> Tensor:
    """x through layers, each with the inputs that its kind takes."""
    from comfy.ldm.modules.attention import SpatialTransformer

    for layer in ts:
        if isinstance(layer, TimestepBlock):
            x = layer(x, emb)
        elif isinstance(layer, SpatialTransformer):
            x = layer(x, context, transformer_options)
        else:
            x = layer(x)
    return x


class TimestepEmbedSequential(nn.Sequential, TimestepBlock):
    """Layers, each with the inputs that its kind takes."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return forward_timestep_embed(self, *args, **kwargs)


def apply_control(h: Tensor, control: dict[str, list[Any]] | None, name: str) -> Tensor:
    """h with the last addition of a control network, which is taken off its list."""
    additions = None if control is None else control.get(name)
    if additions:
        addition = additions.pop()
        if addition is not None:
            h = h + addition.to(h)
    return h


class Timestep(nn.Module):
    """The embedding of times as a layer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, t: Tensor) -> Tensor:
        return timestep_embedding(t, self.dim)


__getattr__ = absent(__name__, layers="ResBlock Upsample Downsample VideoResBlock")
