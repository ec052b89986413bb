"""The autoencoder of films of LTX-2 (HaCohen et al. 2026, arXiv:2601.03233).

The configuration is seen from shapes. What these do not tell is as published: the encoder looks
back in time only, the decoder both ways, and ways around what enlarges a film are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torch

from models.errors import UnsupportedLayout
from models.film.layout import FilmLayout
from models.network import Network, assemble
from models.weights import Weights

_PREFIXES: Final = ("vae.", "first_stage_model.")
_STATISTICS: Final = "per_channel_statistics.mean-of-means"
_SPACE: Final = "encoder.down_blocks.1.conv.conv.weight"  # in other LTX models it is elsewhere
_TIME: Final = "decoder.last_time_embedder.timestep_embedder.linear_1.weight"
_LATER: Final = re.compile(r"decoder\.up_blocks\.(\d+)\.(.+)")  # that diffusers' converter leaves
_FIRST_LATER: Final = 7
# How many values a step puts into channels, or takes out of them -> what diffusers calls the step.
_STEPS: Final = {8: "spatiotemporal", 4: "spatial", 2: "temporal"}
_PATCH: Final = 4


def build_ltx2_video_vae(
    weights: Weights, dtype: torch.dtype
) -> tuple[Network[Any], FilmLayout] | None:
    """The autoencoder of a file and its layout; None if there is none of this family."""
    vae = weights if _STATISTICS in weights.tensors else weights.below(*_PREFIXES)
    if _STATISTICS not in vae.tensors or _SPACE not in vae.tensors or _TIME in vae.tensors:
        return None
    from diffusers import AutoencoderKLLTX2Video

    names = _diffusers_names(vae)
    tensors = {theirs: vae.tensors[ours] for theirs, ours in names.items()}
    config = ltx2_config(replace(vae, tensors=tensors))
    network = assemble(
        lambda: AutoencoderKLLTX2Video(**config), tensors, dtype, weights.path, originals=names
    )
    layout = FilmLayout(
        scale=config["spatial_compression_ratio"],
        frames=config["temporal_compression_ratio"],
        channels=config["latent_channels"],
        is_normalised=True,
    )
    return network, layout


def ltx2_config(vae: Weights) -> dict[str, Any]:
    """Arguments of AutoencoderKLLTX2Video for tensors with diffusers' names."""
    down = vae.count("encoder.down_blocks.{}.")
    up = vae.count("decoder.up_blocks.{}.")
    widths = [_width(vae, f"encoder.down_blocks.{level}") for level in range(down)]
    widths.append(_width(vae, "encoder.mid_block"))
    wider = [_width(vae, "decoder.mid_block")]
    wider += [_width(vae, f"decoder.up_blocks.{level}") for level in range(up)]
    downs = [
        _step(vae, f"encoder.down_blocks.{level}.downsamplers.0", widths[level + 1], down=True)
        for level in range(down)
    ]
    ups = [
        _step(vae, f"decoder.up_blocks.{level}.upsamplers.0", wider[level + 1], down=False)
        for level in range(up)
    ]
    channels = vae.shape("encoder.conv_in.conv.weight", 5)[1]
    return {
        "in_channels": channels // _PATCH**2,
        "out_channels": vae.shape("decoder.conv_out.conv.weight", 5)[0] // _PATCH**2,
        "latent_channels": vae.shape("decoder.conv_in.conv.weight", 5)[1],
        "block_out_channels": tuple(widths[1:]),
        "down_block_types": ("LTX2VideoDownBlock3D",) * down,
        "layers_per_block": (
            *(_layers(vae, f"encoder.down_blocks.{level}") for level in range(down)),
            _layers(vae, "encoder.mid_block"),
        ),
        "spatio_temporal_scaling": (True,) * down,
        "downsample_type": tuple(downs),
        # from the last to the first
        "decoder_block_out_channels": tuple(reversed(wider[:-1])),
        "decoder_layers_per_block": (
            *(_layers(vae, f"decoder.up_blocks.{level}") for level in reversed(range(up))),
            _layers(vae, "decoder.mid_block"),
        ),
        "decoder_spatio_temporal_scaling": (True,) * up,
        "decoder_inject_noise": (False,) * (up + 1),
        "upsample_type": tuple(ups),
        "upsample_residual": (True,) * up,
        "upsample_factor": tuple(
            reversed([wider[level] // wider[level + 1] for level in range(up)])
        ),
        "decoder_causal": False,
        "spatial_compression_ratio": _PATCH * 2 ** sum(step != "temporal" for step in downs),
        "temporal_compression_ratio": 2 ** sum(step != "spatial" for step in downs),
    }


def _width(vae: Weights, block: str) -> int:
    return vae.shape(f"{block}.resnets.0.conv1.conv.weight", 5)[0]


def _layers(vae: Weights, block: str) -> int:
    return vae.count(f"{block}.resnets.{{}}.")


def _step(vae: Weights, step: str, width: int, *, down: bool) -> str:
    """What a step makes smaller or larger, from its channels and those after it."""
    channels = vae.shape(f"{step}.conv.conv.weight", 5)[0]
    larger, smaller = (width, channels) if down else (channels, width)
    values = larger // smaller if larger % smaller == 0 else 0
    if values not in _STEPS:
        raise UnsupportedLayout(vae.path, f"its VAE has a step of {values} values, '{step}'")
    return _STEPS[values]


def _diffusers_names(vae: Weights) -> dict[str, str]:
    """diffusers' name -> the authors', of all tensors that the network has."""
    from diffusers.loaders.single_file_utils import convert_ltx2_vae_to_diffusers

    names: Mapping[str, str] = convert_ltx2_vae_to_diffusers({name: name for name in vae.tensors})
    return {_later(name): ours for name, ours in names.items()}


def _later(name: str) -> str:
    """Names of resolutions after those of LTX-2.0, which continue in the same way."""
    match = _LATER.fullmatch(name)
    if match is None or int(match[1]) < _FIRST_LATER:
        return name
    level, is_block = divmod(int(match[1]) - 1, 2)
    inside = match[2] if is_block else f"upsamplers.0.{match[2]}"
    return f"decoder.up_blocks.{level}.{inside}"
