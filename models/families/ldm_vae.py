"""KL autoencoders in the original layout: configuration from shapes, built by diffusers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from models.errors import CheckpointUnreadable, UnsupportedLayout
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

PREFIX = "first_stage_model."
NEWER_PREFIX = "vae."  # of families since Flux


def vae_config(vae: Weights) -> dict[str, object]:
    """Arguments of AutoencoderKL for the tensors of a VAE (names without prefix)."""
    levels = vae.count("encoder.down.{}.")
    channels = tuple(
        vae.shape(f"encoder.down.{level}.block.0.conv1.weight")[0] for level in range(levels)
    )
    blocks = {vae.count(f"encoder.down.{level}.block.{{}}.") for level in range(levels)}
    blocks |= {vae.count(f"decoder.up.{level}.block.{{}}.") - 1 for level in range(levels)}
    if len(blocks) != 1 or 0 in blocks:
        raise UnsupportedLayout(vae.path, "its VAE's resolutions differ in their number of blocks")
    if vae.count("encoder.down.{}.attn.0"):
        raise UnsupportedLayout(vae.path, "its VAE has attention outside the middle")
    return {
        "in_channels": vae.shape("encoder.conv_in.weight")[1],
        "out_channels": vae.shape("decoder.conv_out.weight")[0],
        "latent_channels": vae.shape("decoder.conv_in.weight")[1],
        "block_out_channels": channels,
        "layers_per_block": blocks.pop(),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "norm_num_groups": vae.config("vae").get("norm_num_groups", 32),
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in vae.tensors,
        "use_quant_conv": "quant_conv.weight" in vae.tensors,
        "use_post_quant_conv": "post_quant_conv.weight" in vae.tensors,
    }


def build_vae(weights: Weights, dtype: torch.dtype) -> Network[AutoencoderKL] | None:
    """The VAE of a checkpoint, or of a file that holds nothing else; None if there is none."""
    vae = weights.below(PREFIX, NEWER_PREFIX)
    if not vae.tensors and "decoder.conv_in.weight" in weights.tensors:
        vae = weights
    if not vae.tensors:
        return None
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = vae_config(vae)
    try:
        tensors = convert_ldm_vae_checkpoint(dict(vae.tensors), config)
    except KeyError as error:
        reason = f"the tensor '{error.args[0]}' of its VAE is missing"
        raise CheckpointUnreadable(weights.path, reason) from error
    return assemble(lambda: AutoencoderKL(**config), tensors, dtype, weights.path)
