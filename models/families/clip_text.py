"""CLIP text encoders in the layout of transformers: configuration from shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import CLIPTextConfig, CLIPTextModel


def clip_config(text: Weights) -> CLIPTextConfig:
    """The configuration of a CLIP text encoder (names without `text_model.`)."""
    from transformers import CLIPTextConfig

    vocabulary, hidden = text.shape("embeddings.token_embedding.weight")
    options = text.config("text_encoder")
    heads = options.get("num_attention_heads", max(hidden // 64, 1))
    if hidden % heads:
        raise UnsupportedLayout(text.path, f"{heads} heads do not divide its width of {hidden}")
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=text.shape("encoder.layers.0.mlp.fc1.weight")[0],
        num_hidden_layers=text.count("encoder.layers.{}."),
        num_attention_heads=heads,
        max_position_embeddings=text.shape("embeddings.position_embedding.weight")[0],
        hidden_act=options.get("hidden_act", "quick_gelu"),
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
    )


def build_clip_text(weights: Weights, dtype: torch.dtype) -> Network[CLIPTextModel] | None:
    """The text encoder, from weights without the prefix of its part; None if there is none."""
    text = weights.below("text_model.", "")
    if "embeddings.token_embedding.weight" not in text.tensors:
        return None
    from transformers import CLIPTextModel

    config = clip_config(text)
    # Whether its names start with `text_model.` depends on the release of transformers.
    with torch.device("meta"):
        outer = CLIPTextModel(config)
    prefix = "text_model." if hasattr(outer, "text_model") else ""
    tensors = {prefix + name: tensor for name, tensor in text.tensors.items()}
    network = assemble(lambda: CLIPTextModel(config), tensors, dtype, weights.path)
    embeddings = getattr(network.module, "text_model", network.module).embeddings
    # Not in the file as a rule, and so not assigned: the positions 0, 1, 2, ...
    embeddings.position_ids = torch.arange(config.max_position_embeddings).unsqueeze(0)
    return network
