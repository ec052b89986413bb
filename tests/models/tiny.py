"""Tiny checkpoints in the SD1 layout with random weights, of any width and depth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Shapes = Iterator[tuple[str, tuple[int, ...]]]
Depth = int | tuple[int, ...]  # of all blocks, or of each


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """What a tiny checkpoint is made of."""

    channels: tuple[int, ...] = (16, 32)  # of each resolution of the UNet
    depths: tuple[Depth, ...] = (1, 0)  # transformer blocks at each resolution
    depths_up: tuple[Depth, ...] | None = None  # the same for the way up, fine to coarse
    middle_depth: int | None = 1  # 0: a residual block alone, None: no middle
    is_linear: bool = False  # whether transformers begin with a matrix
    label: int | None = None  # channels of the class vector
    blocks: int = 1
    context: int = 16  # width of the text encoder
    in_channels: int = 4
    vae_channels: tuple[int, ...] = (8, 8, 16, 16)
    vae_blocks: int = 1
    vae_latent: int = 4
    vae_quant: bool = True  # convolutions between the latent and the VAE
    text_layers: int = 2
    vocabulary: int = 49408
    groups: int = 4
    heads: int = 4

    @property
    def config(self) -> dict[str, Any]:
        """What shapes cannot tell."""
        return {
            "unet": {"num_attention_heads": self.heads, "norm_num_groups": self.groups},
            "vae": {"norm_num_groups": self.groups},
            "text_encoder": {"num_attention_heads": 2},
        }

    def unet(self) -> dict[str, Tensor]:
        return fill(_unet(self))

    def vae(self) -> dict[str, Tensor]:
        return fill(_vae(self))

    def text(self) -> dict[str, Tensor]:
        return fill(_text(self))

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the whole checkpoint."""
        parts = {
            "model.diffusion_model.": self.unet(),
            "first_stage_model.": self.vae(),
            "cond_stage_model.transformer.text_model.": self.text(),
        }
        return {prefix + name: t for prefix, part in parts.items() for name, t in part.items()}


def save(path: Path, tensors: dict[str, Tensor], config: dict[str, Any] | None = None) -> Path:
    """Write a safetensors file."""
    metadata = None if config is None else {"darkroom.config": json.dumps(config)}
    save_file(tensors, path, metadata=metadata)
    return path


def save_checkpoint(path: Path, model: TinyModel | None = None) -> Path:
    """Write a whole checkpoint."""
    model = model or TinyModel()
    return save(path, model.tensors(), model.config)


def fill(shapes: Shapes) -> dict[str, Tensor]:
    """float16 tensors: normal, scaled to keep variance; norms near 1."""
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for name, shape in shapes:
        values = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            values /= max(values[0].numel(), 1) ** 0.5
        else:
            values = values * 0.1 + (1.0 if name.endswith("weight") else 0.0)
        tensors[name] = values.half()
    return tensors


def _layer(name: str, *shape: int, bias: bool = True) -> Shapes:
    yield f"{name}.weight", shape
    if bias:
        yield f"{name}.bias", (shape[0],)


def _res_block(name: str, before: int, after: int, time: int) -> Shapes:
    yield from _layer(f"{name}.in_layers.0", before)
    yield from _layer(f"{name}.in_layers.2", after, before, 3, 3)
    yield from _layer(f"{name}.emb_layers.1", after, time)
    yield from _layer(f"{name}.out_layers.0", after)
    yield from _layer(f"{name}.out_layers.3", after, after, 3, 3)
    if before != after:
        yield from _layer(f"{name}.skip_connection", after, before, 1, 1)


def _transformer(name: str, width: int, depth: int, model: TinyModel) -> Shapes:
    context, kernel = model.context, () if model.is_linear else (1, 1)
    yield from _layer(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, *kernel)
    for index in range(depth):
        block = f"{name}.transformer_blocks.{index}"
        for attention, source in (("attn1", width), ("attn2", context)):
            yield from _layer(f"{block}.{attention}.to_q", width, width, bias=False)
            yield from _layer(f"{block}.{attention}.to_k", width, source, bias=False)
            yield from _layer(f"{block}.{attention}.to_v", width, source, bias=False)
            yield from _layer(f"{block}.{attention}.to_out.0", width, width)
        yield from _layer(f"{block}.ff.net.0.proj", 8 * width, width)
        yield from _layer(f"{block}.ff.net.2", width, 4 * width)
        for norm in ("norm1", "norm2", "norm3"):
            yield from _layer(f"{block}.{norm}", width)
    yield from _layer(f"{name}.proj_out", width, width, *kernel)


def _each(depth: Depth, blocks: int) -> tuple[int, ...]:
    return (depth,) * blocks if isinstance(depth, int) else depth


def _unet(model: TinyModel) -> Shapes:
    first, time = model.channels[0], 4 * model.channels[0]
    yield from _layer("time_embed.0", time, first)
    yield from _layer("time_embed.2", time, time)
    if model.label is not None:
        yield from _layer("label_emb.0.0", time, model.label)
        yield from _layer("label_emb.0.2", time, time)
    yield from _layer("input_blocks.0.0", first, model.in_channels, 3, 3)
    skips, width, index = [first], first, 1
    last_level = len(model.channels) - 1
    for level, (channels, depths) in enumerate(zip(model.channels, model.depths, strict=True)):
        for depth in _each(depths, model.blocks):
            yield from _res_block(f"input_blocks.{index}.0", width, channels, time)
            if depth:
                name = f"input_blocks.{index}.1"
                yield from _transformer(name, channels, depth, model)
            width, index = channels, index + 1
            skips.append(width)
        if level != last_level:
            yield from _layer(f"input_blocks.{index}.0.op", width, width, 3, 3)
            skips.append(width)
            index += 1
    if model.middle_depth is not None:
        yield from _res_block("middle_block.0", width, width, time)
    if model.middle_depth:
        yield from _transformer("middle_block.1", width, model.middle_depth, model)
        yield from _res_block("middle_block.2", width, width, time)
    index = 0
    for level in range(last_level, -1, -1):
        channels = model.channels[level]
        up = (model.depths_up or model.depths)[level]
        for block, depth in enumerate(_each(up, model.blocks + 1)):
            name = f"output_blocks.{index}"
            yield from _res_block(f"{name}.0", width + skips.pop(), channels, time)
            if depth:
                yield from _transformer(f"{name}.1", channels, depth, model)
            if level and block == model.blocks:
                place = 2 if depth else 1
                yield from _layer(f"{name}.{place}.conv", channels, channels, 3, 3)
            width, index = channels, index + 1
    yield from _layer("out.0", first)
    yield from _layer("out.2", 4, first, 3, 3)


def _vae_block(name: str, before: int, after: int) -> Shapes:
    yield from _layer(f"{name}.norm1", before)
    yield from _layer(f"{name}.conv1", after, before, 3, 3)
    yield from _layer(f"{name}.norm2", after)
    yield from _layer(f"{name}.conv2", after, after, 3, 3)
    if before != after:
        yield from _layer(f"{name}.nin_shortcut", after, before, 1, 1)


def _vae_middle(name: str, width: int) -> Shapes:
    yield from _vae_block(f"{name}.block_1", width, width)
    yield from _layer(f"{name}.attn_1.norm", width)
    for part in ("q", "k", "v", "proj_out"):
        yield from _layer(f"{name}.attn_1.{part}", width, width, 1, 1)
    yield from _vae_block(f"{name}.block_2", width, width)


def _vae(model: TinyModel) -> Shapes:
    channels = model.vae_channels
    last = len(channels) - 1
    yield from _layer("encoder.conv_in", channels[0], 3, 3, 3)
    width = channels[0]
    for level, after in enumerate(channels):
        for block in range(model.vae_blocks):
            yield from _vae_block(f"encoder.down.{level}.block.{block}", width, after)
            width = after
        if level != last:
            yield from _layer(f"encoder.down.{level}.downsample.conv", width, width, 3, 3)
    yield from _vae_middle("encoder.mid", width)
    yield from _layer("encoder.norm_out", width)
    latent = model.vae_latent
    yield from _layer("encoder.conv_out", 2 * latent, width, 3, 3)
    if model.vae_quant:
        yield from _layer("quant_conv", 2 * latent, 2 * latent, 1, 1)
        yield from _layer("post_quant_conv", latent, latent, 1, 1)
    yield from _layer("decoder.conv_in", width, latent, 3, 3)
    yield from _vae_middle("decoder.mid", width)
    for level in range(last, -1, -1):
        for block in range(model.vae_blocks + 1):
            yield from _vae_block(f"decoder.up.{level}.block.{block}", width, channels[level])
            width = channels[level]
        if level:
            yield from _layer(f"decoder.up.{level}.upsample.conv", width, width, 3, 3)
    yield from _layer("decoder.norm_out", width)
    yield from _layer("decoder.conv_out", 3, width, 3, 3)


def _text(model: TinyModel) -> Shapes:
    width = model.context
    yield "embeddings.token_embedding.weight", (model.vocabulary, width)
    yield "embeddings.position_embedding.weight", (77, width)
    for index in range(model.text_layers):
        layer = f"encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _layer(f"{layer}.self_attn.{part}", width, width)
        yield from _layer(f"{layer}.mlp.fc1", 4 * width, width)
        yield from _layer(f"{layer}.mlp.fc2", width, 4 * width)
        yield from _layer(f"{layer}.layer_norm1", width)
        yield from _layer(f"{layer}.layer_norm2", width)
    yield from _layer("final_layer_norm", width)
