"""Gemma 2 (Lumina 2), arXiv 2408.00118."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.families.language.kind import LanguageKind, sizes
from models.families.language.layout import Layout

if TYPE_CHECKING:
    from transformers import Gemma2Config

_HEAD: Final = 256  # channels, of 2B and 9B
_LARGE: Final = 4608  # the width of 27B, which has heads of 128 and scales by its width a head


def _recognise(layout: Layout) -> bool:
    return layout.has("layers.0.pre_feedforward_layernorm.weight") and not layout.has(
        "layers.0.self_attn.q_norm.weight"
    )


def _config(layout: Layout) -> Gemma2Config:
    from transformers import Gemma2Config

    is_large = layout.text.shape("embed_tokens.weight", 2)[1] == _LARGE
    head_width = 128 if is_large else _HEAD
    return Gemma2Config(
        **sizes(layout, head_width) | {"attn_implementation": "eager"},  # it caps scores
        head_dim=head_width,
        query_pre_attn_scalar=144 if is_large else head_width,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )


def _network() -> Any:
    from transformers import Gemma2Model

    return Gemma2Model


GEMMA2: Final = LanguageKind(name="gemma2", recognise=_recognise, config=_config, network=_network)
