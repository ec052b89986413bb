"""What weight hooks are made of: LoRA files, and whole checkpoints as differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from models.lora import Lora, lora_patches, model_names, text_names
from models.network import Network, WeightPatch

if TYPE_CHECKING:
    from models.load import Checkpoint
    from models.text.encoder import TextEncoder

Patches = Mapping[str, Sequence[WeightPatch]]


@dataclass(frozen=True, eq=False)
class LoraSource:
    """The patches of a LoRA."""

    lora: Lora

    def model_patches(self, network: Network[Any], strength: float) -> Patches:
        """Of a diffusion model."""
        return lora_patches(self.lora, model_names(network), network, strength)

    def text_patches(self, encoder: TextEncoder, strength: float) -> Patches:
        """Of a text encoder."""
        return lora_patches(self.lora, text_names(encoder), encoder.network, strength)


@dataclass(frozen=True, eq=False)
class TowardsPatch:
    """A weight on its way from that of one checkpoint to that of another."""

    base: Tensor
    target: Tensor
    strength: float

    def apply(self, weight: Tensor) -> Tensor:
        """``W + strength (target - base)``: patches that are there already stay."""
        difference = self.target.float() - self.base.float()
        return weight + self.strength * difference.to(weight.device)


@dataclass(frozen=True, eq=False)
class CheckpointSource:
    """The difference between another checkpoint and whatever model is hooked."""

    checkpoint: Checkpoint

    def model_patches(self, network: Network[Any], strength: float) -> Patches:
        """Of a diffusion model; weights of another shape stay as they are."""
        return towards(network, self.checkpoint.model.network, strength)

    def text_patches(self, encoder: TextEncoder, strength: float) -> Patches:
        """Of a text encoder; none if the other checkpoint has none of its kind."""
        text = self.checkpoint.text
        other = None if text is None else text.encoders.get(encoder.key)
        return {} if other is None else towards(encoder.network, other.network, strength)


def towards(network: Network[Any], other: Network[Any], strength: float) -> Patches:
    """Patches that bring a network to another one of the same layout, at strength 1."""
    if strength == 0.0:
        return {}
    return {
        name: [TowardsPatch(network.stored(name), other.stored(name), strength)]
        for name in network.names()
        if name in other and other.shape(name) == network.shape(name)
    }
