"""Qwen3 (Z-Image, Flux 2 Klein), from its technical report, arXiv 2505.09388."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.families.language.kind import LanguageKind, normed_heads, sizes
from models.families.language.layout import Layout

if TYPE_CHECKING:
    from transformers import Qwen3Config

# Those up to 4B use the table of tokens as their last layer, too.
_WIDEST_TIED: Final = 2560


def is_tied(layout: Layout) -> bool:
    """Whether a model of this width was published without a last layer of its own."""
    return layout.text.shape("embed_tokens.weight", 2)[1] <= _WIDEST_TIED


def _recognise(layout: Layout) -> bool:
    return (
        layout.has("layers.0.self_attn.q_norm.weight", "layers.0.self_attn.q_proj.weight")
        and not layout.has("layers.0.pre_feedforward_layernorm.weight")
        and not layout.vision.tensors
    )


def _config(layout: Layout) -> Qwen3Config:
    from transformers import Qwen3Config

    head_width = normed_heads(layout.text)
    return Qwen3Config(
        **sizes(layout, head_width),
        head_dim=head_width,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )


def _network() -> Any:
    from transformers import Qwen3Model

    return Qwen3Model


QWEN3: Final = LanguageKind(
    name="qwen3", recognise=_recognise, config=_config, network=_network, is_tied=is_tied
)
