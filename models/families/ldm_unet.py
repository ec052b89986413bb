"""UNets in the layout of latent diffusion: configuration from shapes, built by diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

PREFIX: Final = "model.diffusion_model."
FIRST: Final = "input_blocks.0.0.weight"
LABEL: Final = "label_emb.0.0.weight"

HEAD_CHANNELS: Final = 64  # of networks whose transformers begin with a matrix
USUAL_HEADS: Final = 8  # of those that begin with a convolution
USUAL_GROUPS: Final = 32


@dataclass(frozen=True, kw_only=True)
class Level:
    """One resolution of the UNet, on the way down or up."""

    channels: int
    depths: tuple[int, ...]  # transformer blocks after each residual block; 0: no attention

    @property
    def layers(self) -> int | tuple[int, ...]:
        """The depths as diffusers has them: one number where they are equal."""
        return max(self.depths[0], 1) if len(set(self.depths)) == 1 else self.depths

    @property
    def kind(self) -> str:
        """The first word of diffusers' block."""
        return "CrossAttn" if self.depths[0] else ""


def read_levels(unet: Weights) -> list[Level]:
    """The resolutions on the way down. Raises UnsupportedLayout for what diffusers has not."""
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
    if len({len(level.depths) for level in levels}) != 1:
        raise UnsupportedLayout(unet.path, "its resolutions differ in their number of blocks")
    return levels


def _levels_up(unet: Weights, blocks: int) -> list[Level]:
    """The resolutions on the way up, each of `blocks` blocks."""
    depths = [
        unet.count(f"output_blocks.{index}.1.transformer_blocks.{{}}.")
        for index in range(unet.count("output_blocks.{}."))
    ]
    return [
        _level(
            unet,
            unet.shape(f"output_blocks.{first}.0.out_layers.3.weight")[0],
            depths[first : first + blocks],
        )
        for first in range(0, len(depths), blocks)
    ]


def _level(unet: Weights, channels: int, depths: Sequence[int]) -> Level:
    if not depths or (0 in depths and any(depths)):
        raise UnsupportedLayout(unet.path, "some blocks of a resolution have attention, some not")
    return Level(channels=channels, depths=tuple(depths))


def encoder_config(unet: Weights) -> dict[str, Any]:
    """Arguments for the way down and the middle, which UNets and ControlNets share."""
    levels = read_levels(unet)
    middle_depth = unet.count("middle_block.1.transformer_blocks.{}.")
    layers = [level.layers for level in levels]
    if middle_depth:
        # diffusers gives the middle the depth of the last level, or the first of its depths.
        if levels[-1].depths[0] not in (0, middle_depth):
            raise UnsupportedLayout(unet.path, "its middle is deeper than its coarsest resolution")
        if not levels[-1].depths[0]:
            layers[-1] = middle_depth
    options = unet.config("unet")
    channels = tuple(level.channels for level in levels)
    is_linear = has_linear_projections(unet)
    heads = options.get("num_attention_heads", usual_heads(channels, is_linear))
    config = {
        "in_channels": unet.shape("input_blocks.0.0.weight")[1],
        "block_out_channels": channels,
        "layers_per_block": len(levels[0].depths),
        "down_block_types": tuple(f"{level.kind}DownBlock2D" for level in levels),
        "mid_block_type": _middle_type(unet, middle_depth),
        "transformer_layers_per_block": tuple(layers),
        # diffusers' name for what is a number of heads here (its issue 2011)
        "attention_head_dim": tuple(heads) if isinstance(heads, list) else heads,
        "norm_num_groups": options.get("norm_num_groups", USUAL_GROUPS),
        "use_linear_projection": is_linear,
    }
    attention = next((name for name in unet.tensors if name.endswith("attn2.to_k.weight")), None)
    if attention is not None:  # small ControlNets have none
        config["cross_attention_dim"] = unet.shape(attention)[1]
    if LABEL in unet.tensors:
        # One vector of a class, however it came about: SDXL's sizes, unCLIP's picture.
        config["class_embed_type"] = "projection"
        config["projection_class_embeddings_input_dim"] = unet.shape(LABEL)[1]
    return config


def has_finest_attention(unet: Weights) -> bool:
    """Whether there are transformers at full resolution."""
    return "input_blocks.1.1.proj_in.weight" in unet.tensors


def has_linear_projections(unet: Weights) -> bool:
    """Whether transformers begin with a matrix, as in Stable Diffusion 2 and XL."""
    projection = next((n for n in unet.tensors if n.endswith(".1.proj_in.weight")), None)
    return projection is not None and len(unet.shape(projection)) == 2


def usual_heads(channels: Sequence[int], is_linear: bool) -> int | tuple[int, ...]:
    """The number of heads, at each level where they differ."""
    if not is_linear:
        return USUAL_HEADS
    return tuple(max(width // HEAD_CHANNELS, 1) for width in channels)


def _middle_type(unet: Weights, depth: int) -> str | None:
    """Distilled networks have only a residual block there, or nothing."""
    if depth:
        return "UNetMidBlock2DCrossAttn"
    has_middle = "middle_block.0.in_layers.2.weight" in unet.tensors
    return "UNetMidBlock2D" if has_middle else None


def unet_config(unet: Weights) -> dict[str, Any]:
    """Arguments of UNet2DConditionModel for the tensors of a UNet (names without prefix)."""
    config = encoder_config(unet)
    if "cross_attention_dim" not in config:
        raise UnsupportedLayout(unet.path, "it has no cross-attention")
    levels = _levels_up(unet, config["layers_per_block"] + 1)
    return {
        **config,
        "out_channels": unet.shape("out.2.weight")[0],
        "up_block_types": tuple(f"{level.kind}UpBlock2D" for level in levels),
        "reverse_transformer_layers_per_block": tuple(level.layers for level in levels),
        "time_embedding_dim": unet.shape("time_embed.0.weight")[0],
    }


def unet_part(weights: Weights) -> Weights:
    """The UNet of a checkpoint, or of a file that holds nothing else, without prefix."""
    unet = weights.below(PREFIX)
    return weights if not unet.tensors and FIRST in weights.tensors else unet


def build_unet(weights: Weights, dtype: torch.dtype) -> Network[UNet2DConditionModel] | None:
    """The UNet of a checkpoint, or of a file that holds nothing else; None if there is none."""
    unet = unet_part(weights)
    if FIRST not in unet.tensors:
        return None
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = unet_config(unet)
    # The converter renames and does nothing else, so that it serves for the names alone.
    originals = convert_ldm_unet_checkpoint({PREFIX + name: name for name in unet.tensors}, config)
    tensors = {name: unet.tensors[original] for name, original in originals.items()}
    return assemble(lambda: UNet2DConditionModel(**config), tensors, dtype, weights.path, originals)
