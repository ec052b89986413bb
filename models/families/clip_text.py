"""CLIP text encoders: layouts of files, configuration from shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from models.errors import UnsupportedLayout
from models.families.open_clip import MARK, to_transformers
from models.network import Network, assemble
from models.stored.holding import AS_COMPUTED, Storage
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import CLIPTextConfig

TOKENS = "embeddings.token_embedding.weight"
_PROJECTION = "text_projection.weight"


def clip_of(weights: Weights) -> Weights:
    """The tensors of a CLIP text encoder by transformers' names, without `text_model.`.

    Weights are taken in transformers' layout, with or without that prefix, and in open_clip's.
    There are no tensors in the result if the weights are those of something else.
    """
    if MARK in weights.tensors:
        weights = replace(weights, tensors=to_transformers(weights.tensors))
    text = weights.below("text_model.", "")
    if TOKENS not in text.tensors:
        return replace(weights, tensors={})
    projection = {k: v for k, v in weights.tensors.items() if k == _PROJECTION}
    return replace(text, tensors=text.tensors | projection)


def clip_config(text: Weights, part: str, hidden_act: str) -> CLIPTextConfig:
    """The configuration of a CLIP text encoder (names without `text_model.`).

    What shapes cannot tell is what the file says of `part` (see Weights.config), else `hidden_act`
    and heads of 64 channels.
    """
    from transformers import CLIPTextConfig

    vocabulary, hidden = text.shape(TOKENS)
    options = text.config(part)
    heads = options.get("num_attention_heads", usual_heads(hidden))
    if hidden % heads:
        raise UnsupportedLayout(text.path, f"{heads} heads do not divide its width of {hidden}")
    projected = text.tensors.get(_PROJECTION)
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=text.shape("encoder.layers.0.mlp.fc1.weight")[0],
        num_hidden_layers=text.count("encoder.layers.{}."),
        num_attention_heads=heads,
        max_position_embeddings=text.shape("embeddings.position_embedding.weight")[0],
        projection_dim=hidden if projected is None else projected.shape[0],
        hidden_act=options.get("hidden_act", hidden_act),
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
    )


def usual_heads(width: int) -> int:
    """How many heads an encoder of a width has."""
    return max(width // 64, 1)


def build_clip_text(
    weights: Weights,
    dtype: torch.dtype,
    storage: Storage = AS_COMPUTED,
    *,
    part: str = "text_encoder",
    hidden_act: str = "quick_gelu",
) -> Network[Any] | None:
    """The text encoder, from weights without the prefix of its part; None if there is none.

    It is a CLIPTextModelWithProjection if the file has a projection, else a CLIPTextModel.
    """
    text = clip_of(weights)
    if not text.tensors:
        return None
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    config = clip_config(text, part, hidden_act)
    kind: type[Any] = CLIPTextModelWithProjection if _PROJECTION in text.tensors else CLIPTextModel
    # Whether its names start with `text_model.` depends on the class and transformers' release.
    with torch.device("meta"):
        prefix = "text_model." if hasattr(kind(config), "text_model") else ""
    tensors = {
        name if name == _PROJECTION else prefix + name: tensor
        for name, tensor in text.tensors.items()
    }
    network: Network[Any] = assemble(
        lambda: kind(config), tensors, dtype, weights.path, storage=storage
    )
    embeddings = getattr(network.module, "text_model", network.module).embeddings
    # Not in the file as a rule, and so not assigned: the positions 0, 1, 2, ...
    embeddings.position_ids = torch.arange(config.max_position_embeddings).unsqueeze(0)
    return network
