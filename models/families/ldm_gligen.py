"""GLIGEN's layers: configuration from shapes, built of diffusers' modules.

Li et al. 2023, https://arxiv.org/abs/2301.07093. Files hold `position_net.*` and, beside each
transformer of a UNet by its original name, `fuser.*`; other weights of the UNet are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from models.errors import PartMissing, UnsupportedLayout
from models.families.diffusers_names import unet_renamer
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers.models.attention import GatedSelfAttentionDense
    from diffusers.models.embeddings import GLIGENTextBoundingboxProjection

_PREFIXES: Final = ("model.diffusion_model.", "unet.", "model.")
_FUSER: Final = ".fuser.linear.weight"
_WAVES: Final = 2 * 4  # sine and cosine of four bounds of a box


@dataclass(frozen=True, kw_only=True)
class GligenConfig:
    """What the layers are made of."""

    positive_len: int  # width of a phrase
    out_dim: int  # width of a token
    fourier_freqs: int
    heads: int
    fusers: tuple[str, ...]  # of which transformers, by their original names
    widths: tuple[int, ...]  # of each


class GligenLayers(nn.Module):
    """The projection of phrases and boxes to tokens, and the gated attention to these."""

    position_net: GLIGENTextBoundingboxProjection
    fusers: nn.ModuleList

    def __init__(self, config: GligenConfig) -> None:
        super().__init__()
        from diffusers.models.attention import GatedSelfAttentionDense
        from diffusers.models.embeddings import GLIGENTextBoundingboxProjection

        self.config = config
        self.position_net = GLIGENTextBoundingboxProjection(
            config.positive_len, config.out_dim, fourier_freqs=config.fourier_freqs
        )
        self.fusers = nn.ModuleList(
            GatedSelfAttentionDense(width, config.out_dim, config.heads, width // config.heads)
            for width in config.widths
        )

    def fuser(self, transformer: str) -> GatedSelfAttentionDense | None:
        """The layer beside a transformer, by its original name; None if there is none."""
        if transformer not in self.config.fusers:
            return None
        found: Any = self.fusers[self.config.fusers.index(transformer)]
        return found


def build_gligen(weights: Weights, dtype: torch.dtype) -> Network[GligenLayers]:
    """The layers of a file. Raises PartMissing for a file without any."""
    layers = _original_layout(weights)
    if "position_net.linears_text.0.weight" in layers.tensors:
        raise UnsupportedLayout(weights.path, "it was made for phrases and pictures in boxes")
    fusers = tuple(name.removesuffix(_FUSER) for name in layers.tensors if name.endswith(_FUSER))
    if not fusers or "position_net.null_position_feature" not in layers.tensors:
        raise PartMissing(weights.path, "GLIGEN layers")
    config = _config(layers, fusers)
    originals = {
        _own_name(name, fusers): name
        for name in layers.tensors
        if name.startswith("position_net.") or ".fuser." in name
    }
    tensors = {name: layers.tensors[original] for name, original in originals.items()}
    return assemble(lambda: GligenLayers(config), tensors, dtype, weights.path, originals)


def _config(layers: Weights, fusers: tuple[str, ...]) -> GligenConfig:
    waves = layers.shape("position_net.null_position_feature")[0]
    return GligenConfig(
        positive_len=layers.shape("position_net.null_positive_feature")[0],
        out_dim=layers.shape("position_net.linears.4.weight")[0],
        fourier_freqs=waves // _WAVES,
        heads=layers.config("unet").get("num_attention_heads", 8),
        fusers=fusers,
        widths=tuple(layers.shape(f"{name}{_FUSER}")[0] for name in fusers),
    )


def _own_name(original: str, fusers: tuple[str, ...]) -> str:
    transformer, has_fuser, layer = original.partition(".fuser.")
    return f"fusers.{fusers.index(transformer)}.{layer}" if has_fuser else original


def _original_layout(weights: Weights) -> Weights:
    """The layers by the original's names, without prefix; a UNet of diffusers may hold them."""
    below = weights.below(*_PREFIXES)
    layers = below if below.tensors else weights
    if not any(re.match(r"(down|up|mid)_block", name) for name in layers.tensors):
        return layers
    rename = unet_renamer(layers)
    renamed: dict[str, Tensor] = {}
    for name, tensor in layers.tensors.items():
        found = name if name.startswith("position_net.") else rename(name)
        if found is not None:
            renamed[found] = tensor
    return replace(layers, tensors=renamed)
