"""T5 and UMT5 encoders in the layout of transformers: configuration from shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from models.network import Network, assemble
from models.stored.holding import AS_COMPUTED, Storage
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

MARK = "encoder.block.0.layer.0.SelfAttention.q.weight"
TABLE = "shared.weight"
_ALSO_TABLE = "encoder.embed_tokens.weight"
_BIAS = "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"
_INWARDS = "encoder.block.0.layer.1.DenseReluDense.wi{}.weight"

# Layers of a block in GGUF files, as llama.cpp calls them.
_GGUF_MARK = "enc.blk.0.attn_q.weight"
_GGUF = {
    "attn_q": "layer.0.SelfAttention.q",
    "attn_k": "layer.0.SelfAttention.k",
    "attn_v": "layer.0.SelfAttention.v",
    "attn_o": "layer.0.SelfAttention.o",
    "attn_rel_b": "layer.0.SelfAttention.relative_attention_bias",
    "attn_norm": "layer.0.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0",
    "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo",
    "ffn_norm": "layer.1.layer_norm",
}
_GGUF_TOP = {"token_embd": "shared", "enc.output_norm": "encoder.final_layer_norm"}


def t5_of(weights: Weights) -> Weights:
    """The tensors of a T5 encoder by transformers' names; none if they are something else's.

    Weights are taken in transformers' layout and in that of GGUF files.
    """
    tensors = weights.tensors
    if _GGUF_MARK in tensors:
        tensors = {_from_gguf(name): tensor for name, tensor in tensors.items()}
    if MARK not in tensors:
        return replace(weights, tensors={})
    if TABLE not in tensors and _ALSO_TABLE in tensors:
        tensors = tensors | {TABLE: tensors[_ALSO_TABLE]}
    return replace(weights, tensors=tensors)


def _from_gguf(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    if layer in _GGUF_TOP:
        return f"{_GGUF_TOP[layer]}.{kind}"
    block, _, inner = layer.removeprefix("enc.blk.").partition(".")
    return f"encoder.block.{block}.{_GGUF[inner]}.{kind}" if inner in _GGUF else name


def is_umt5(text: Weights) -> bool:
    """Whether each layer has relative positions of its own: UMT5 (Chung et al. 2023)."""
    return _BIAS.format(1) in text.tensors


def t5_config(text: Weights) -> T5Config | UMT5Config:
    """The configuration of a T5 or UMT5 encoder (see `t5_of`)."""
    from transformers import T5Config, UMT5Config

    is_gated = _INWARDS.format("_0") in text.tensors
    vocabulary, width = text.shape(TABLE)
    buckets, heads = text.shape(_BIAS.format(0))
    kind = UMT5Config if is_umt5(text) else T5Config
    return kind(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=text.shape(MARK)[0] // heads,
        d_ff=text.shape(_INWARDS.format("_0" if is_gated else ""))[0],
        num_layers=text.count("encoder.block.{}."),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu" if is_gated else "relu",
        dropout_rate=0.0,
    )


def build_t5_text(
    weights: Weights, dtype: torch.dtype, storage: Storage = AS_COMPUTED
) -> Network[T5EncoderModel | UMT5EncoderModel] | None:
    """The encoder, from weights without the prefix of its part; None if there is none.

    A decoder that is in the file, too, is not read.
    """
    text = t5_of(weights)
    if not text.tensors:
        return None
    from transformers import T5EncoderModel, UMT5EncoderModel

    config = t5_config(text)
    kind: Any = UMT5EncoderModel if is_umt5(text) else T5EncoderModel

    def without_second_table() -> Any:
        model = kind(config)
        del model.encoder.embed_tokens
        return model

    network = assemble(without_second_table, text.tensors, dtype, weights.path, storage=storage)
    # The same table under another name, which counts as no weight of its own.
    network.module.encoder.__dict__["embed_tokens"] = network.module.shared
    # As networks of diffusers say it: layers are only called (see models.offload).
    network.module.__dict__["_supports_group_offloading"] = True
    return network
