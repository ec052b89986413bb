"""UNets in the layout of latent diffusion: configuration from shapes, built by diffusers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

PREFIX = "model.diffusion_model."


@dataclass(frozen=True, kw_only=True)
class Level:
    """One resolution of the UNet."""

    channels: int
    blocks: int  # residual blocks on the way down
    depth: int  # transformer blocks after each residual block; 0: no attention


def read_levels(unet: Weights) -> list[Level]:
    """The resolutions from fine to coarse. Raises UnsupportedLayout for uneven ones."""
    levels: list[Level] = []
    channels, depths = 0, list[int]()
    for index in range(1, unet.count("input_blocks.{}.")):
        block = f"input_blocks.{index}"
        if f"{block}.0.op.weight" in unet.tensors:
            levels.append(_level(unet, channels, depths))
            depths = []
        else:
            channels = unet.shape(f"{block}.0.out_layers.3.weight")[0]
            depths.append(unet.count(f"{block}.1.transformer_blocks.{{}}."))
    levels.append(_level(unet, channels, depths))
    return levels


def _level(unet: Weights, channels: int, depths: list[int]) -> Level:
    if not depths or len(set(depths)) != 1:
        raise UnsupportedLayout(unet.path, "the blocks of one resolution differ in their attention")
    return Level(channels=channels, blocks=len(depths), depth=depths[0])


def encoder_config(unet: Weights) -> dict[str, object]:
    """Arguments for the way down and the middle, which UNets and ControlNets share."""
    levels = read_levels(unet)
    if len({level.blocks for level in levels}) != 1:
        raise UnsupportedLayout(unet.path, "its resolutions differ in their number of blocks")
    attention = next((name for name in unet.tensors if name.endswith("attn2.to_k.weight")), None)
    if attention is None:
        raise UnsupportedLayout(unet.path, "it has no cross-attention")
    has_middle = "middle_block.0.in_layers.2.weight" in unet.tensors
    middle_depth = unet.count("middle_block.1.transformer_blocks.{}.")
    depths = [max(level.depth, 1) for level in levels]
    if has_middle:
        if levels[-1].depth not in (0, middle_depth):
            raise UnsupportedLayout(unet.path, "its middle is deeper than its coarsest resolution")
        depths[-1] = max(middle_depth, 1)  # diffusers gives the middle the depth of the last level
    projection = next(name for name in unet.tensors if name.endswith(".1.proj_in.weight"))
    options = unet.config("unet")
    return {
        "in_channels": unet.shape("input_blocks.0.0.weight")[1],
        "block_out_channels": tuple(level.channels for level in levels),
        "layers_per_block": levels[0].blocks,
        "down_block_types": tuple(
            "CrossAttnDownBlock2D" if level.depth else "DownBlock2D" for level in levels
        ),
        # Distilled networks have none.
        "mid_block_type": "UNetMidBlock2DCrossAttn" if has_middle else None,
        "transformer_layers_per_block": tuple(depths),
        "cross_attention_dim": unet.shape(attention)[1],
        # diffusers' name for what is a number of heads here (its issue 2011)
        "attention_head_dim": options.get("num_attention_heads", 8),
        "norm_num_groups": options.get("norm_num_groups", 32),
        "use_linear_projection": len(unet.shape(projection)) == 2,
    }


def unet_config(unet: Weights) -> dict[str, object]:
    """Arguments of UNet2DConditionModel for the tensors of a UNet (names without prefix)."""
    return {
        **encoder_config(unet),
        "out_channels": unet.shape("out.2.weight")[0],
        "up_block_types": tuple(
            "CrossAttnUpBlock2D" if level.depth else "UpBlock2D"
            for level in reversed(read_levels(unet))
        ),
        "time_embedding_dim": unet.shape("time_embed.0.weight")[0],
    }


def build_unet(weights: Weights, dtype: torch.dtype) -> Network[UNet2DConditionModel] | None:
    """The UNet of a checkpoint, or of a file that holds nothing else; None if there is none."""
    unet = weights.below(PREFIX)
    if not unet.tensors and "input_blocks.0.0.weight" in weights.tensors:
        unet = weights
    if not unet.tensors:
        return None
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = unet_config(unet)
    # The converter renames and does nothing else, so that it serves for the names alone.
    originals = convert_ldm_unet_checkpoint({PREFIX + name: name for name in unet.tensors}, config)
    tensors = {name: unet.tensors[original] for name, original in originals.items()}
    return assemble(lambda: UNet2DConditionModel(**config), tensors, dtype, weights.path, originals)
