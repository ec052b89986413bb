"""Wan's autoencoders of films, 2.1 and 2.2, which Qwen-Image and others have as well.

That of Qwen-Image 2.1 is made for pictures alone: its convolutions are flat.

Files come with the names of their authors or of diffusers; the configuration is seen from shapes
(Wan et al. 2025, arXiv:2503.20314).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from math import isqrt
from typing import Any, Final

import torch

from models.errors import UnsupportedLayout
from models.film.layout import FilmLayout
from models.network import Network, assemble
from models.weights import Weights

_PREFIXES: Final = ("first_stage_model.", "vae.")
_MARK: Final = "decoder.middle.0.residual.0.gamma"
_DIFFUSERS_MARK: Final = "decoder.mid_block.attentions.0.to_qkv.weight"
_NESTED: Final = re.compile(r"(\w+)\.(down|up)samples\.(\d+)\.\w+\.(\d+)\.(\w+?(?:\.\d+)?)\.(\w+)")
# What layers of a block are called by Wan's authors and by diffusers.
_LAYERS: Final = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
_RGB: Final = 3
_FLAT: Final = 4  # dimensions of the weights of flat convolutions
_LAYERS_OF_21: Final = 2  # blocks of a resolution, to which diffusers' converter is bound


def build_wan_vae(weights: Weights, dtype: torch.dtype) -> tuple[Network[Any], FilmLayout] | None:
    """The autoencoder of a file and its layout; None if there is none of this family."""
    vae = weights
    if not {_MARK, _DIFFUSERS_MARK} & weights.tensors.keys():
        vae = weights.below(*_PREFIXES)
    if _MARK in vae.tensors:
        names = _diffusers_names(vae)
    elif _DIFFUSERS_MARK in vae.tensors:
        names = {name: name for name in vae.tensors}
    else:
        return None
    from diffusers import AutoencoderKLQwenImage21, AutoencoderKLWan

    tensors = {theirs: vae.tensors[ours] for theirs, ours in names.items()}
    config = wan_config(replace(vae, tensors=tensors))
    is_of_pictures = tensors["encoder.conv_in.weight"].ndim == _FLAT
    kind = AutoencoderKLQwenImage21 if is_of_pictures else AutoencoderKLWan
    network: Network[Any] = assemble(
        lambda: kind(**config), tensors, dtype, weights.path, originals=names
    )
    layout = FilmLayout(
        scale=config["scale_factor_spatial"],
        frames=config["scale_factor_temporal"],
        channels=config["z_dim"],
        colours=config["in_channels"] // (config["patch_size"] or 1) ** 2,
        is_of_pictures=is_of_pictures,
    )
    return network, layout


def wan_config(vae: Weights) -> dict[str, Any]:
    """Arguments of AutoencoderKLWan for tensors with diffusers' names."""
    base, channels = vae.shape("encoder.conv_in.weight")[:2]
    levels = _nested_levels(vae) or _flat_levels(vae)
    is_residual = bool(_nested_levels(vae))
    widths = [width for width, _, _ in levels]
    if any(width % base for width in widths) or len({blocks for _, blocks, _ in levels}) != 1:
        raise UnsupportedLayout(vae.path, "the resolutions of its VAE do not go together")
    multiples = [width // base for width in widths]
    steps = [halves for _, _, halves in levels[:-1]]
    patch = isqrt(channels // _RGB) if channels > _RGB + 1 else 1
    return {
        "base_dim": base,
        "decoder_base_dim": vae.shape("decoder.conv_in.weight")[0] // multiples[-1],
        "z_dim": vae.shape("post_quant_conv.weight")[0],
        "dim_mult": multiples,
        "num_res_blocks": levels[0][1],
        "temperal_downsample": steps,
        "is_residual": is_residual,
        "in_channels": channels,
        "out_channels": vae.shape("decoder.conv_out.weight")[0],
        "patch_size": patch if patch > 1 else None,
        "scale_factor_temporal": 2 ** sum(steps),
        "scale_factor_spatial": patch * 2 ** len(steps),
    }


def _nested_levels(vae: Weights) -> list[tuple[int, int, bool]]:
    """Width, blocks, and whether frames are halved, of each resolution: Wan 2.2."""
    levels: list[tuple[int, int, bool]] = []
    for level in count():
        block = f"encoder.down_blocks.{level}"
        blocks = vae.count(f"{block}.resnets.{{}}.")
        if not blocks:
            return levels
        width = vae.shape(f"{block}.resnets.0.conv1.weight")[0]
        levels.append((width, blocks, f"{block}.downsampler.time_conv.weight" in vae.tensors))
    return levels


def _flat_levels(vae: Weights) -> list[tuple[int, int, bool]]:
    """The same where all blocks are in one row: Wan 2.1."""
    levels, width, blocks = [], 0, 0
    for place in range(vae.count("encoder.down_blocks.{}.")):
        block = f"encoder.down_blocks.{place}"
        if f"{block}.conv1.weight" in vae.tensors:
            width, blocks = vae.shape(f"{block}.conv1.weight")[0], blocks + 1
        else:
            levels.append((width, blocks, f"{block}.time_conv.weight" in vae.tensors))
            blocks = 0
    return [*levels, (width, blocks, False)]


def _diffusers_names(vae: Weights) -> dict[str, str]:
    """diffusers' name -> the authors', of all tensors."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    nested = {name: match for name in vae.tensors if (match := _NESTED.fullmatch(name))}
    if not nested and f"encoder.downsamples.{_LAYERS_OF_21}.resample.1.weight" not in vae.tensors:
        raise UnsupportedLayout(vae.path, "its VAE has other than two blocks a resolution")
    plain = {name: name for name in vae.tensors if name not in nested}
    names: Mapping[str, str] = convert_wan_vae_to_diffusers(plain)
    return {**names, **{_nested_name(match): name for name, match in nested.items()}}


def _nested_name(match: re.Match[str]) -> str:
    part, way, level, place, layer, kind = match.groups()
    block = f"{part}.{way}_blocks.{level}"
    if layer in _LAYERS:
        return f"{block}.resnets.{place}.{_LAYERS[layer]}.{kind}"
    return f"{block}.{way}sampler.{layer}.{kind}"
