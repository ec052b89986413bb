"""Names of language models' tensors in GGUF files, as llama.cpp calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor

_MARK: Final = "blk.0.attn_q.weight"
_LAYER: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
# The norm before the second half of a layer: where there is one after the first half, too (Gemma),
# that is called `post_attention_norm`.
_PLAIN: Final = {"ffn_norm": "post_attention_layernorm"}
_GEMMA: Final = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_TOP: Final = {"token_embd": "embed_tokens", "output_norm": "norm", "output": "lm_head"}


def from_gguf(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors by transformers' names; None if they have no such names.

    Files of Gemma hold its norms with 1 added, which transformers adds itself.
    """
    if _MARK not in tensors:
        return None
    is_gemma = "blk.0.post_ffw_norm.weight" in tensors
    inner = _LAYER | (_GEMMA if is_gemma else _PLAIN)
    found = {}
    for name, tensor in tensors.items():
        ours = _renamed(name, inner)
        if is_gemma and ours.endswith("norm.weight"):
            tensor = tensor.float() - 1
        found[ours] = tensor
    return found


def _renamed(name: str, inner: Mapping[str, str]) -> str:
    layer, _, kind = name.rpartition(".")
    if layer in _TOP:
        return f"{_TOP[layer]}.{kind}"
    start, _, rest = layer.removeprefix("blk.").partition(".")
    if layer.startswith("blk.") and rest in inner:
        return f"layers.{start}.{inner[rest]}.{kind}"
    return name
