"""ControlNets and T2I-Adapters of UNets: configuration from shapes, built by diffusers.

ControlNet: Zhang et al. 2023, https://arxiv.org/abs/2302.05543. T2I-Adapter: Mou et al. 2023,
https://arxiv.org/abs/2302.08453.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import torch

from models.errors import UnsupportedLayout
from models.families.diffusers_names import UNION_LAYERS
from models.families.ldm_unet import encoder_config
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter

PREFIX = "control_model."
_TASKS: Final = "task_embedding"
_UNSHUFFLE: Final = 8  # pixels along each side that an adapter takes for one
XL_UNSHUFFLE: Final = 16
XL_ADAPTER: Final = "full_adapter_xl"  # diffusers' name


def control_config(control: Weights) -> dict[str, Any]:
    """Arguments of ControlNetModel for the tensors of a ControlNet (original names)."""
    return {
        **encoder_config(control),
        "conditioning_channels": control.shape("input_hint_block.0.weight")[1],
        "conditioning_embedding_out_channels": hint_channels(control),
    }


def hint_channels(control: Weights) -> tuple[int, ...]:
    """Channels of the layers that take in the hint: every second of them is twice as coarse."""
    numbers = sorted(
        int(match[1])
        for name in control.tensors
        if (match := re.fullmatch(r"input_hint_block\.(\d+)\.weight", name))
    )
    return tuple(control.shape(f"input_hint_block.{n}.weight")[0] for n in numbers[:-1:2])


def _named(control: Weights, config: dict[str, Any]) -> dict[str, str]:
    """Names in diffusers -> original names, of the layers that all ControlNets have."""
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    # As for the UNet: the converter renames, so that names stand for tensors.
    found = convert_controlnet_checkpoint({name: name for name in control.tensors}, config)
    for number, layer in enumerate(("label_emb.0.0", "label_emb.0.2"), start=1):
        for kind in ("weight", "bias"):
            if f"{layer}.{kind}" in control.tensors:
                found[f"class_embedding.linear_{number}.{kind}"] = f"{layer}.{kind}"
    return {name: original for name, original in found.items() if original is not None}


def build_controlnet(control: Weights, dtype: torch.dtype) -> Network[ControlNetModel]:
    """The ControlNet of tensors with original names."""
    from diffusers import ControlNetModel

    config = control_config(control)
    originals = _named(control, config)
    tensors = {name: control.tensors[original] for name, original in originals.items()}
    return assemble(lambda: ControlNetModel(**config), tensors, dtype, control.path, originals)


def is_union(control: Weights) -> bool:
    """Whether a ControlNet is for several kinds of hints."""
    return _TASKS in control.tensors


def build_union(control: Weights, dtype: torch.dtype) -> Network[ControlNetUnionModel]:
    """The ControlNet for several kinds of hints of tensors with original names.

    Its own layers have one name in all files.
    """
    from diffusers import ControlNetUnionModel

    config = control_config(control)
    if config.pop("mid_block_type") != "UNetMidBlock2DCrossAttn":
        raise UnsupportedLayout(control.path, "its middle has no attention")
    kinds, channels = control.shape(_TASKS)
    config |= {
        "num_control_type": kinds,
        "num_trans_channel": channels,
        "num_proj_channel": control.shape("spatial_ch_projs.weight")[0],
        "num_trans_layer": control.count("transformer_layes.{}."),
        "addition_time_embed_dim": control.shape("control_add_embedding.linear_1.weight")[1]
        // kinds,
    }
    originals = _named(control, config)
    originals |= {name: name for name in control.tensors if name.startswith(UNION_LAYERS)}
    tensors = {name: control.tensors[original] for name, original in originals.items()}
    return assemble(lambda: ControlNetUnionModel(**config), tensors, dtype, control.path, originals)


def is_adapter(weights: Weights) -> bool:
    """Whether a file (original or diffusers' names, without prefix) holds a T2I-Adapter."""
    return "body.0.in_conv.weight" in weights.tensors or any(
        name in weights.tensors
        for name in ("body.0.block1.weight", "body.0.resnets.0.block1.weight")
    )


def adapter_names(weights: Weights) -> Weights:
    """An adapter with the names that it has in diffusers."""
    names = weights.tensors
    if any(".resnets." in name for name in names):
        renamed = dict(names)
    elif "conv_in.weight" in names:  # two residual blocks a level, in one flat list
        renamed = {re.sub(r"^body\.(\d+)\.", _nested_block, name): t for name, t in names.items()}
        renamed = {name.replace(".resnets.0.in_conv", ".in_conv"): t for name, t in renamed.items()}
    else:
        renamed = {re.sub(r"\.body\.(\d+)\.", r".resnets.\1.", n): t for n, t in names.items()}
    return Weights(path=weights.path, tensors=renamed, metadata=weights.metadata)


def _nested_block(match: re.Match[str]) -> str:
    level, block = divmod(int(match[1]), 2)
    return f"body.{level}.resnets.{block}."


def build_adapter(weights: Weights, dtype: torch.dtype) -> Network[T2IAdapter]:
    """The adapter of tensors with the names that they have in diffusers."""
    from diffusers import T2IAdapter

    is_light = "conv_in.weight" not in weights.tensors
    levels = weights.count("body.{}.")
    blocks = weights.count("body.0.resnets.{}.")
    last = "out_conv" if is_light else f"resnets.{blocks - 1}.block2"
    channels = [weights.shape(f"body.{level}.{last}.weight")[0] for level in range(levels)]
    first = "body.0.in_conv.weight" if is_light else "conv_in.weight"
    inputs = weights.shape(first)[1]
    # SDXL's fold 16 x 16 pixels of a picture of one or three channels, all others 8 x 8.
    is_xl = not is_light and inputs in {channels * XL_UNSHUFFLE**2 for channels in (1, 3)}
    side = XL_UNSHUFFLE if is_xl else _UNSHUFFLE
    if inputs % side**2:
        raise UnsupportedLayout(weights.path, f"it takes {inputs} channels of folded pixels")
    if any(".down_opt." in name or ".skep." in name for name in weights.tensors):
        raise UnsupportedLayout(weights.path, "it has layers of its own between resolutions")
    config = {
        "in_channels": inputs // side**2,
        "channels": channels[:-1] if is_light else channels,
        "num_res_blocks": blocks,
        "downscale_factor": side,
        "adapter_type": "light_adapter" if is_light else XL_ADAPTER if is_xl else "full_adapter",
    }
    tensors = {f"adapter.{name}": tensor for name, tensor in weights.tensors.items()}
    return assemble(lambda: T2IAdapter(**config), tensors, dtype, weights.path)
