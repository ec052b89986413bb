"""What a kind of language model has to say, and how its networks are assembled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from models.errors import UnsupportedLayout
from models.families.language.layout import Layout
from models.families.language.seeing import Eyes
from models.network import Network, assemble
from models.stored.holding import AS_COMPUTED, Storage
from models.weights import Weights

_QUERY: Final = "layers.0.self_attn.q_proj.weight"
_KEY: Final = "layers.0.self_attn.k_proj.weight"


@dataclass(frozen=True, kw_only=True)
class LanguageKind:
    """A kind of language model: the same network in all its sizes."""

    name: str
    recognise: Callable[[Layout], bool]
    config: Callable[[Layout], Any]  # of the text model, from its tensors' shapes
    network: Callable[[], Any]  # transformers' class of the text model
    eyes: Eyes | None = None  # None: it takes no pictures
    is_tied: Callable[[Layout], bool] = lambda layout: True  # published without a head of its own


def build_text(
    kind: LanguageKind, layout: Layout, dtype: torch.dtype, storage: Storage = AS_COMPUTED
) -> Network[Any]:
    """The text model, from the table of tokens to the last norm."""
    network: type[Any] = kind.network()

    def build() -> Any:
        return with_buffers(network(kind.config(layout)))

    text = layout.text
    made: Network[Any] = assemble(build, text.tensors, dtype, text.path, storage=storage)
    # As networks of diffusers say it: layers are only called (see models.offload).
    made.module.__dict__["_supports_group_offloading"] = True
    return made


def build_head(
    layout: Layout, dtype: torch.dtype, storage: Storage = AS_COMPUTED
) -> Network[nn.Linear] | None:
    """The last layer, from hidden states to scores of tokens; None where the table is it."""
    head = layout.head
    if head is None:
        return None
    rows, width = head.shape
    return assemble(
        lambda: nn.Linear(width, rows, bias=False),
        {"weight": head},
        dtype,
        layout.text.path,
        storage=storage,
    )


def with_buffers(module: nn.Module) -> nn.Module:
    """A module without memory, with the values that no file has: frequencies, scales, positions."""
    with torch.device("cpu"):
        for name, part in list(module.named_modules()):
            if type(part).__name__.endswith("RotaryEmbedding"):
                owner, _, leaf = name.rpartition(".")
                setattr(module.get_submodule(owner), leaf, type(part)(part.config))
            elif hasattr(part, "scalar_embed_scale"):
                part.embed_scale = torch.tensor(part.scalar_embed_scale)
            elif hasattr(part, "position_ids"):
                part.position_ids = torch.arange(part.position_ids.shape[-1]).expand(1, -1)
    return module


def sizes(layout: Layout, head_width: int) -> dict[str, Any]:
    """What configurations of all kinds are told alike, for heads of so many channels."""
    text = layout.text
    vocabulary, width = text.shape("embed_tokens.weight", 2)
    queries, keys = text.shape(_QUERY, 2)[0], text.shape(_KEY, 2)[0]
    if queries % head_width or keys % head_width or not keys:
        raise UnsupportedLayout(
            text.path, f"heads of {head_width} channels do not fit {queries} and {keys} channels"
        )
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": text.shape("layers.0.mlp.down_proj.weight", 2)[1],
        "num_hidden_layers": text.count("layers.{}."),
        "num_attention_heads": queries // head_width,
        "num_key_value_heads": keys // head_width,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": "sdpa",
    }


def normed_heads(weights: Weights) -> int:
    """Channels of a head, where queries are normed."""
    return weights.shape("layers.0.self_attn.q_norm.weight", 1)[0]
