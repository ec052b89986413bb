"""Adapters while they are trained: what a layer computes with one, without a weight of its own.

The weights stay as they are, stored in few bits or not: what the adapter adds is computed beside
them, so that training takes memory for the adapter alone.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.errors import InvalidInput
from models.lora.deltas import has, scaled_delta
from models.lora.files import Parts
from models.lora.rotations import rotations

_FIXED: Final = frozenset({"alpha"})  # what is not learned
_TRAINABLE: Final = frozenset({
    "up", "down", "mid", "oft_blocks",
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t1", "lokr_t2",
})  # fmt: skip


class Adapter(nn.Module):
    """The parts of one layer's adapter, learned in a type."""

    def __init__(self, parts: Parts, dtype: torch.dtype) -> None:
        """Raises InvalidInput for kinds that cannot be trained further."""
        super().__init__()
        unknown = parts.keys() - _TRAINABLE - _FIXED
        if unknown:
            raise InvalidInput(
                f"an adapter with '{min(unknown)}' cannot be trained further; LoRA, LoHa, LoKr "
                "and OFT can"
            )
        self.fixed = {name: parts[name].clone() for name in parts.keys() & _FIXED}
        self.learned = nn.ParameterDict(
            {name: tensor.to(dtype, copy=True) for name, tensor in parts.items()
             if name not in _FIXED}
        )  # fmt: skip

    @property
    def parts(self) -> Parts:
        """All tensors by what they are, as models.lora.files names them."""
        return {**self.learned, **self.fixed}

    def forward(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """The output of a layer, with what the adapter makes of it; a forward hook of the layer."""
        parts = self.parts
        if "oft_blocks" in parts:
            return _turned(layer, output, rotations(parts, output_channels(layer)))
        if has(parts, "up") and "mid" not in parts:
            return output + self._through_rank(layer, inputs[0])
        weight: Tensor = layer.get_parameter("weight")
        delta = scaled_delta(parts).to(output.dtype).reshape(weight.shape)
        return output + apply_like(layer, inputs[0], delta)

    def _through_rank(self, layer: nn.Module, x: Tensor) -> Tensor:
        """``scale up(down(x))``, which never has the whole of the delta in memory."""
        up, down = self.learned["up"], self.learned["down"]
        alpha = self.fixed.get("alpha")
        scale = 1.0 if alpha is None else float(alpha) / down.shape[0]
        inner = apply_like(layer, x, down.to(x.dtype))
        if inner.ndim == 4 and isinstance(layer, nn.Conv2d):
            return scale * F.conv2d(inner, up.to(x.dtype).flatten(1)[..., None, None])
        return scale * F.linear(inner, up.to(x.dtype).flatten(1))


def apply_like(layer: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    """What a layer makes of x with another weight, and no bias."""
    if isinstance(layer, nn.Conv2d):
        padding: Any = layer.padding
        return F.conv2d(x, weight, None, layer.stride, padding, layer.dilation)
    return F.linear(x, weight)


def output_channels(layer: nn.Module) -> int:
    """How many channels a layer puts out: the rows of its weight."""
    return int(layer.get_parameter("weight").shape[0])


def _turned(layer: nn.Module, output: Tensor, turns: Tensor) -> Tensor:
    """The output with its channels turned block by block; turning a weight's rows does the same.

    The bias is no part of the weight.
    """
    axis = 1 if isinstance(layer, nn.Conv2d) else -1
    bias = getattr(layer, "bias", None)
    last = output.movedim(axis, -1)
    free = last if bias is None else last - bias.to(last)
    count, size = turns.shape[0], turns.shape[-1]
    blocks = free.reshape(*free.shape[:-1], count, size)
    turned = torch.einsum("knm,...kn->...km", turns.to(free.dtype), blocks).flatten(-2)
    return (turned if bias is None else turned + bias.to(turned)).movedim(-1, axis)
