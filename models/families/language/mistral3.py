"""Mistral Small 3 (Flux 2) and Ministral 3 (ERNIE-Image), their text models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.families.language.kind import LanguageKind, sizes
from models.families.language.layout import Layout

if TYPE_CHECKING:
    from transformers import Ministral3Config, MistralConfig

_TOKENS: Final = 131_072  # of the vocabulary that these and no others have
_HEAD: Final = 128  # channels
_INWARDS_OF_SMALL: Final = 32_768
_WIDEST_TIED: Final = 3072  # Ministral 3 3B uses the table of tokens as its last layer, too


def _is_mistral(layout: Layout) -> bool:
    others = ("self_attn.q_norm.weight", "self_attn.q_proj.bias")
    return (
        layout.text.shape("embed_tokens.weight", 2)[0] == _TOKENS
        and layout.has("layers.0.self_attn.q_proj.weight")
        and not any(layout.has(f"layers.0.{name}") for name in others)
    )


def _is_small(layout: Layout) -> bool:
    inwards = layout.text.shape("layers.0.mlp.down_proj.weight", 2)[1]
    return _is_mistral(layout) and inwards == _INWARDS_OF_SMALL


def _small(layout: Layout) -> MistralConfig:
    from transformers import MistralConfig

    return MistralConfig(
        **sizes(layout, _HEAD),
        head_dim=_HEAD,
        rms_norm_eps=1e-5,
        sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000_000.0},
    )


def _small_network() -> Any:
    from transformers import MistralModel

    return MistralModel


def _ministral(layout: Layout) -> Ministral3Config:
    """Positions are stretched as transformers' configuration has it."""
    from transformers import Ministral3Config

    return Ministral3Config(**sizes(layout, _HEAD), head_dim=_HEAD, rms_norm_eps=1e-5)


def _ministral_network() -> Any:
    from transformers import Ministral3Model

    return Ministral3Model


MISTRAL3: Final = LanguageKind(
    name="mistral3",
    recognise=_is_small,
    config=_small,
    network=_small_network,
    is_tied=lambda layout: False,
)
MINISTRAL3: Final = LanguageKind(
    name="ministral3",
    recognise=_is_mistral,
    config=_ministral,
    network=_ministral_network,
    is_tied=lambda layout: layout.text.shape("embed_tokens.weight", 2)[1] <= _WIDEST_TIED,
)
