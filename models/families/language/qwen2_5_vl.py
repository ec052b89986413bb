"""Qwen2.5-VL (Qwen-Image, OmniGen 2), arXiv 2502.13923, and Qwen2.5 without pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.families.language.kind import LanguageKind, sizes
from models.families.language.layout import Layout
from models.families.language.qwen3 import is_tied

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLTextConfig

_HEAD: Final = 128  # channels
# Frequencies that turn with time, height and width: a quarter and twice three eighths.
_SECTIONS: Final = [16, 24, 24]


def _recognise(layout: Layout) -> bool:
    return layout.has("layers.0.self_attn.q_proj.bias") and not layout.has(
        "layers.0.self_attn.q_norm.weight"
    )


def _config(layout: Layout) -> Qwen2_5_VLTextConfig:
    from transformers import Qwen2_5_VLTextConfig

    return Qwen2_5_VLTextConfig(
        **sizes(layout, _HEAD),
        rms_norm_eps=1e-6,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": _SECTIONS,
        },
    )


def _network() -> Any:
    from transformers import Qwen2_5_VLTextModel

    return Qwen2_5_VLTextModel


QWEN2_5_VL: Final = LanguageKind(
    name="qwen2_5_vl", recognise=_recognise, config=_config, network=_network, is_tied=is_tied
)
