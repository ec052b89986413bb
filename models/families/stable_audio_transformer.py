"""Stable Audio's transformer (Evans et al. 2024, arXiv 2407.14358): configuration from shapes.

It is built by diffusers, with what turns seconds into tokens beside it. Files have the names of
stable-audio-tools.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.parts import Part, parts_of_conversion
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import StableAudioDiTModel

PREFIXES: Final = ("model.model.", "model.diffusion_model.")
MARK: Final = "transformer.layers.0.cross_attn.to_kv.weight"
MOST_SECONDS: Final = 512.0  # that it was trained to be told
HEAD_WIDTH: Final = 64  # of all published networks
_TIMES: Final = "timestep_features.weight"
_SECONDS: Final = {
    "start": "conditioner.conditioners.seconds_start.embedder.embedding.",
    "total": "conditioner.conditioners.seconds_total.embedder.embedding.",
}

# stable-audio-tools -> diffusers; fused projections are cut after these.
_NAMES: Final[tuple[tuple[str, str], ...]] = (
    (r"^transformer\.layers\.", "transformer_blocks."),
    (r"^transformer\.project_", "proj_"),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"\.to_out\.", ".to_out.0."),
    (r"\.ff\.ff\.", ".ff.net."),
    (r"\.pre_norm\.", ".norm1."),
    (r"\.cross_attend_norm\.", ".norm2."),
    (r"\.ff_norm\.", ".norm3."),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
    (r"^to_timestep_embed\.", "timestep_proj."),
    (r"^timestep_features\.", "time_proj."),
    (r"^to_global_embed\.", "global_proj."),
    (r"^to_cond_embed\.", "cross_attention_proj."),
)
_FUSED: Final = {"to_qkv": ("to_q", "to_k", "to_v"), "to_kv": ("to_k", "to_v")}


class StableAudioNetwork(nn.Module):
    """The transformer, and one network each for the seconds of the start and of the whole."""

    _supports_group_offloading = True  # layers are only called: see models.offload

    def __init__(
        self, transformer: StableAudioDiTModel, start: nn.Module, total: nn.Module
    ) -> None:
        super().__init__()
        self.transformer, self.start, self.total = transformer, start, total

    def forward(self, x: Tensor, times: Tensor, text: Tensor, seconds: Tensor) -> Tensor:
        """[B, C, T] of x [B, C, T], times [B], text [B, L, D], seconds [B, 2] in 0..1 of the most.

        As StableAudioPipeline: seconds are tokens behind those of the text, and one before x.
        """
        from diffusers.models.embeddings import get_1d_rotary_pos_embed

        sides = (self.start, self.total)
        tokens = [side(seconds[:, place])[:, None] for place, side in enumerate(sides)]
        turns = get_1d_rotary_pos_embed(
            HEAD_WIDTH // 2, x.shape[-1] + 1, use_real=True, repeat_interleave_real=False
        )
        output: Tensor = self.transformer(
            x,
            times,
            encoder_hidden_states=torch.cat([text, *tokens], dim=1),
            global_hidden_states=torch.cat(tokens, dim=2),
            rotary_embedding=tuple(turn.to(x.device) for turn in turns),
            return_dict=False,
        )[0]
        return output


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    if MARK in weights.tensors:
        return weights
    own = weights.below(PREFIXES[0])
    return own if MARK in own.tensors else weights.below(PREFIXES[1])


def transformer_config(transformer: Weights) -> dict[str, Any]:
    """Arguments of StableAudioDiTModel."""
    width, channels = transformer.shape("transformer.project_in.weight", 2)
    if "transformer.layers.0.self_attn.q_norm.weight" in transformer.tensors:
        raise UnsupportedLayout(transformer.path, "its attention has norms that Open 1.0's lacks")
    return {
        "in_channels": channels,
        "out_channels": transformer.shape("transformer.project_out.weight", 2)[0],
        "num_layers": transformer.count("transformer.layers.{}."),
        "attention_head_dim": HEAD_WIDTH,
        "num_attention_heads": width // HEAD_WIDTH,
        "num_key_value_attention_heads": transformer.shape(MARK, 2)[0] // 2 // HEAD_WIDTH,
        "cross_attention_dim": transformer.shape("to_cond_embed.2.weight", 2)[0],
        "cross_attention_input_dim": transformer.shape("to_cond_embed.0.weight", 2)[1],
        "time_proj_dim": transformer.shape("to_timestep_embed.0.weight", 2)[1],
        "global_states_input_dim": transformer.shape("to_global_embed.0.weight", 2)[1],
    }


def build_transformer(weights: Weights, dtype: torch.dtype) -> Network[StableAudioNetwork] | None:
    """The network of a file; None if there is none. Its weights keep their original names."""
    own = transformer_of(weights)
    if MARK not in own.tensors:
        return None
    from diffusers import StableAudioDiTModel
    from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioNumberConditioner

    config = transformer_config(own)
    told = {k: t for k, t in weights.tensors.items() if k.startswith(tuple(_SECONDS.values()))}
    tensors = own.tensors | told
    if _TIMES in tensors:
        tensors[_TIMES] = tensors[_TIMES].reshape(-1)
    whole = Weights(path=weights.path, tensors=tensors)
    layer = f"{_SECONDS['start']}1.weight"
    features, inner = whole.shape(layer, 2)

    def side() -> nn.Module:
        made: nn.Module = StableAudioNumberConditioner(features, 0, MOST_SECONDS, inner - 1)
        return made.get_submodule("time_positional_embedding")

    return assemble(
        lambda: StableAudioNetwork(StableAudioDiTModel(**config), side(), side()),
        tensors,
        dtype,
        weights.path,
        parts=_parts(tensors),
    )


def _parts(tensors: dict[str, Tensor]) -> dict[str, Part]:
    return parts_of_conversion(_converted, tensors)


def _converted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        side = next((side for side, prefix in _SECONDS.items() if name.startswith(prefix)), None)
        if side is not None:
            found[f"{side}.{name.removeprefix(_SECONDS[side])}"] = tensor
            continue
        for old, new in _NAMES:
            name = re.sub(old, new, name)
        fused = next((layer for layer in _FUSED if f".{layer}." in name), None)
        pieces = _FUSED[fused] if fused else ("",)
        for piece, rows in zip(pieces, tensor.chunk(len(pieces)), strict=True):
            own = name.replace(f".{fused}.", f".{piece}.") if fused else name
            found[f"transformer.{own}"] = rows
    return found
