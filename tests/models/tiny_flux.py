"""Tiny transformers of Flux with random weights, in the layout of their authors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.load import unet_of
from models.memory import choose_policy
from models.weights import Weights
from tests.models.tiny import Shapes, fill

HEAD = 32


@dataclass(frozen=True, kw_only=True)
class TinyFlux:
    """What a tiny transformer is made of."""

    width: int = 2 * HEAD
    double: int = 2
    single: int = 2
    context: int = 24
    pooled: int = 20
    channels: int = 64  # 2 x 2 times those of the latent, and of what is seen beside it
    guidance: bool = True

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """All weights, float16."""
        return {prefix + name: tensor for name, tensor in fill(_shapes(self)).items()}

    def weights(self) -> Weights:
        """An opened file."""
        return Weights(path=Path("tiny.safetensors"), tensors=self.tensors())

    def handle(self) -> ModelHandle:
        """A MODEL that computes on the CPU."""
        return unet_of(self.weights(), choose_policy(cpu=True))


def inputs(model: TinyFlux, batch: int = 2, height: int = 6, width: int = 8) -> dict[str, Any]:
    """Arguments for a call of the network."""
    generator = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "x": noise(batch, model.channels // 4, height, width),
        "timesteps": torch.linspace(0.9, 0.3, batch),
        "context": noise(batch, 5, model.context),
        "y": noise(batch, model.pooled),
        "guidance": torch.full((batch,), 3.5),
    }


def _layer(name: str, *shape: int) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0],)


def _shapes(model: TinyFlux) -> Shapes:
    width = model.width
    yield from _layer("img_in", width, model.channels)
    yield from _layer("txt_in", width, model.context)
    embedded = {"time_in": 256, "vector_in": model.pooled}
    if model.guidance:
        embedded["guidance_in"] = 256
    for name, size in embedded.items():
        yield from _layer(f"{name}.in_layer", width, size)
        yield from _layer(f"{name}.out_layer", width, width)
    for index in range(model.double):
        for stream in ("img", "txt"):
            block = f"double_blocks.{index}.{stream}"
            yield from _layer(f"{block}_mod.lin", 6 * width, width)
            yield from _layer(f"{block}_attn.qkv", 3 * width, width)
            yield from _layer(f"{block}_attn.proj", width, width)
            yield f"{block}_attn.norm.query_norm.scale", (HEAD,)
            yield f"{block}_attn.norm.key_norm.scale", (HEAD,)
            yield from _layer(f"{block}_mlp.0", 4 * width, width)
            yield from _layer(f"{block}_mlp.2", width, 4 * width)
    for index in range(model.single):
        block = f"single_blocks.{index}"
        yield from _layer(f"{block}.linear1", 7 * width, width)
        yield from _layer(f"{block}.linear2", width, 5 * width)
        yield from _layer(f"{block}.modulation.lin", 3 * width, width)
        yield f"{block}.norm.query_norm.scale", (HEAD,)
        yield f"{block}.norm.key_norm.scale", (HEAD,)
    yield from _layer("final_layer.linear", 64, width)
    yield from _layer("final_layer.adaLN_modulation.1", 2 * width, width)
