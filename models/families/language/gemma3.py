"""Gemma 3 (LTX-2, NewBie), arXiv 2503.19786."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.families.language.kind import LanguageKind, normed_heads, sizes
from models.families.language.layout import Layout

if TYPE_CHECKING:
    from transformers import Gemma3TextConfig

_SMALL: Final = 1152  # the width of 1B, which takes no pictures and short contexts
_LARGE: Final = 5376  # the width of 27B, which scales by its width a head


def _recognise(layout: Layout) -> bool:
    return layout.has(
        "layers.0.pre_feedforward_layernorm.weight", "layers.0.self_attn.q_norm.weight"
    ) and not layout.has("layers.0.layer_scalar")


def _config(layout: Layout) -> Gemma3TextConfig:
    from transformers import Gemma3TextConfig

    head_width = normed_heads(layout.text)
    width = layout.text.shape("embed_tokens.weight", 2)[1]
    is_small = width <= _SMALL and not layout.vision.tensors
    scaling = {"rope_type": "default"} if is_small else {"rope_type": "linear", "factor": 8.0}
    shared = sizes(layout, head_width)
    return Gemma3TextConfig(
        **shared,
        head_dim=head_width,
        query_pre_attn_scalar=width // shared["num_attention_heads"]
        if width == _LARGE
        else head_width,
        sliding_window=512 if is_small else 1024,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            "full_attention": {**scaling, "rope_theta": 1_000_000.0},
        },
    )


def _network() -> Any:
    from transformers import Gemma3TextModel

    return Gemma3TextModel


GEMMA3: Final = LanguageKind(name="gemma3", recognise=_recognise, config=_config, network=_network)
