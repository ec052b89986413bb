"""The encoder of Whisper (Radford et al. 2022, arXiv 2212.04356): configuration from shapes, built
by transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

PREFIXES: Final = ("model.encoder.", "encoder.")
_HEAD: Final = 64  # channels, of all published networks
_RATE: Final = 16000  # Hz
_FRAME: Final = 320  # samples that a state stands for


def build_whisper(weights: Weights, dtype: torch.dtype) -> Network[WhisperEncoder] | None:
    """The encoder of a file, below a prefix or alone; None if there is none."""
    own = weights.below(*PREFIXES)
    if "embed_positions.weight" not in own.tensors:
        own = weights
    if not {"embed_positions.weight", "conv2.weight"} <= own.tensors.keys():
        return None
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(**whisper_config(own))
    return assemble(lambda: WhisperEncoder(config), own.tensors, dtype, weights.path)


def whisper_config(encoder: Weights) -> dict[str, Any]:
    """Arguments of WhisperConfig that are of the encoder."""
    width, bands, _ = encoder.shape("conv1.weight", axes=3)
    return {
        "d_model": width,
        "num_mel_bins": bands,
        "encoder_layers": encoder.count("layers.{}."),
        "encoder_attention_heads": max(1, width // _HEAD),
        "encoder_ffn_dim": encoder.shape("layers.0.fc1.weight", axes=2)[0],
        "max_source_positions": encoder.shape("embed_positions.weight", axes=2)[0],
    }


def hear_with_whisper(network: Any, sound: Tensor) -> tuple[Tensor, ...]:
    """States [1, frames, D], of samples [T]: before the first layer, and after each. 50 a second.

    The last ones are those behind the last norm. It hears 30 seconds at a time, the last of which
    are filled up with silence.
    """
    from transformers import WhisperFeatureExtractor

    config = network.config
    part = config.max_source_positions * _FRAME
    ear = WhisperFeatureExtractor(config.num_mel_bins, chunk_length=part // _RATE)
    found = []
    for heard in torch.split(sound.float(), part):
        mel = ear(heard.cpu().numpy(), sampling_rate=_RATE, return_tensors="pt").input_features
        values = mel.to(network.device, network.dtype)
        said = network(values, output_hidden_states=True)
        found.append((*said.hidden_states[:-1], said.last_hidden_state))
    frames = -(-len(sound) // _FRAME)
    return tuple(torch.cat(states, dim=1)[:, :frames] for states in zip(*found, strict=True))
