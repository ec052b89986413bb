"""Text encoders to files: weights with their patches, under the names of files and checkpoints."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.families.clip_text import usual_heads
from models.families.open_clip import to_open_clip
from models.text.clip import ClipEncoder
from models.text.encoder import TextEncoder
from models.text.families import ACTS
from models.text.handle import TextHandle


def encoder_tensors(encoder: TextEncoder) -> dict[str, Tensor]:
    """The weights of a text encoder with its patches, as a file of its own names them."""
    network = encoder.network
    weights = {
        encoder.outer_name(name): network.merged(name, encoder.patches.get(name, ()))
        for name in network.names()
    }
    return weights | encoder.further_tensors()


def text_tensors(text: TextHandle) -> dict[str, Tensor]:
    """The weights of all encoders with their patches, as checkpoints of the family name them."""
    found: dict[str, Tensor] = {}
    for key, encoder in text.encoders.items():
        use = text.combination.uses[key]
        tensors = encoder_tensors(encoder)
        if use.is_open_clip:
            tensors = to_open_clip(tensors)
        found |= {use.prefixes[0] + name: tensor for name, tensor in tensors.items()}
    return found


def stated(encoder: TextEncoder) -> dict[str, Any]:
    """What a file has to say of an encoder because shapes would be taken for something else."""
    if not isinstance(encoder, ClipEncoder):
        return {}
    config = encoder.network.module.config
    usual = {
        "num_attention_heads": usual_heads(config.hidden_size),
        "hidden_act": ACTS[encoder.key],
    }
    return {name: getattr(config, name) for name in usual if getattr(config, name) != usual[name]}


def stated_parts(text: TextHandle) -> dict[str, dict[str, Any]]:
    """What a checkpoint has to say of its encoders, by the names of parts (Weights.config)."""
    encoders = text.encoders.values()
    names = {e: "text_encoder" if e.number == 1 else f"text_encoder_{e.number}" for e in encoders}
    return {name: said for e, name in names.items() if (said := stated(e))}
