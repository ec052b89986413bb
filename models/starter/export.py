"""Writes the trained networks as one file in the original (LDM) layout of Stable Diffusion 1.x."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from models.starter.diffusion import TEXT_HEADS, UNET_GROUPS, UNET_HEADS
from models.starter.vae import VAE_GROUPS

RESNET_NAMES = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_NAMES = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
VAE_ATTENTION_NAMES = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def _unet_blocks(unet: UNet2DConditionModel) -> dict[str, str]:
    """Diffusers' name of each block of the UNet to its original name."""
    names = dict(UNET_NAMES)
    number = 1
    for i, block in enumerate(unet.down_blocks):
        for j in range(len(block.resnets)):
            names[f"down_blocks.{i}.resnets.{j}"] = f"input_blocks.{number}.0"
            names[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{number}.1"
            number += 1
        if block.downsamplers:
            names[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
            number += 1
    number = 0
    for i, block in enumerate(unet.up_blocks):
        for j in range(len(block.resnets)):
            names[f"up_blocks.{i}.resnets.{j}"] = f"output_blocks.{number}.0"
            names[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{number}.1"
            number += 1
        if block.upsamplers:
            place = 2 if hasattr(block, "attentions") else 1
            names[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{number - 1}.{place}.conv"
    return names


def _vae_blocks(vae: AutoencoderKL) -> dict[str, str]:
    """Diffusers' name of each block of the autoencoder to its original name."""
    names = {}
    levels = len(vae.encoder.down_blocks)
    for i in range(levels):
        up = levels - 1 - i
        names[f"encoder.down_blocks.{i}.resnets"] = f"encoder.down.{i}.block"
        names[f"encoder.down_blocks.{i}.downsamplers.0"] = f"encoder.down.{i}.downsample"
        names[f"decoder.up_blocks.{i}.resnets"] = f"decoder.up.{up}.block"
        names[f"decoder.up_blocks.{i}.upsamplers.0"] = f"decoder.up.{up}.upsample"
    for side in ("encoder", "decoder"):
        names[f"{side}.mid_block.resnets.0"] = f"{side}.mid.block_1"
        names[f"{side}.mid_block.attentions.0"] = f"{side}.mid.attn_1"
        names[f"{side}.mid_block.resnets.1"] = f"{side}.mid.block_2"
        names[f"{side}.conv_norm_out"] = f"{side}.norm_out"
    return names


def _renamed(name: str, blocks: dict[str, str], inner: dict[str, str]) -> str:
    """The name with its block's name and then the part within the block replaced."""
    block = max((b for b in blocks if name.startswith(b + ".")), key=len, default=None)
    if block is None:
        return name
    rest = name[len(block) :]
    for old, new in inner.items():
        rest = re.sub(rf"^((?:\.\d+)?)\.{re.escape(old)}\.", rf"\1.{new}.", rest)
    return blocks[block] + rest


def ldm_unet(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The UNet's tensors under their original names, without a prefix."""
    blocks = _unet_blocks(unet)
    return {_renamed(name, blocks, RESNET_NAMES): t for name, t in unet.state_dict().items()}


def ldm_vae(vae: AutoencoderKL) -> dict[str, Tensor]:
    """The autoencoder's tensors under their original names, without a prefix."""
    blocks = _vae_blocks(vae)
    inner = VAE_ATTENTION_NAMES | {"conv_shortcut": "nin_shortcut"}
    tensors = {}
    for name, tensor in vae.state_dict().items():
        # Attention is a 1x1 convolution there, a linear layer here.
        is_projection = ".attentions." in name and tensor.ndim == 2
        tensors[_renamed(name, blocks, inner)] = (
            tensor[..., None, None] if is_projection else tensor
        )
    return tensors


def save_checkpoint(
    path: Path,
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    text: dict[str, Tensor],
) -> None:
    """Write the checkpoint in half precision; `text` has names as below `text_model.`."""
    tensors = {f"model.diffusion_model.{name}": t for name, t in ldm_unet(unet).items()}
    tensors |= {f"first_stage_model.{name}": t for name, t in ldm_vae(vae).items()}
    prefix = "cond_stage_model.transformer.text_model."
    tensors |= {f"{prefix}{name}": t for name, t in text.items()}
    config = {
        "unet": {"num_attention_heads": UNET_HEADS, "norm_num_groups": UNET_GROUPS},
        "vae": {"norm_num_groups": VAE_GROUPS},
        "text_encoder": {"num_attention_heads": TEXT_HEADS, "hidden_act": "quick_gelu"},
    }
    metadata = {
        "format": "pt",
        "darkroom.config": json.dumps(config),
        "modelspec.title": "Darkroom starter model",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.license": "Apache-2.0",
        "modelspec.resolution": "128x128",
        "modelspec.description": "Draws simple shapes and cats; trained by models/starter/train.py",
    }
    partial = path.with_suffix(".partial")
    halves = {name: t.detach().to(torch.float16).contiguous() for name, t in tensors.items()}
    save_file(halves, partial, metadata)
    partial.chmod(0o644)  # the writer leaves it readable to its owner alone
    partial.rename(path)
