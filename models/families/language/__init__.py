"""Language models: how files of theirs are recognised, and what builds their networks."""

from __future__ import annotations

from typing import Final

from models.families.language.gemma2 import GEMMA2
from models.families.language.gemma3 import GEMMA3
from models.families.language.kind import LanguageKind
from models.families.language.layout import Layout
from models.families.language.mistral3 import MINISTRAL3, MISTRAL3
from models.families.language.qwen2_5_vl import QWEN2_5_VL
from models.families.language.qwen3 import QWEN3
from models.families.language.qwen3_5 import QWEN3_5
from models.families.language.qwen3_vl import QWEN3_VL
from models.weights import Weights

__all__ = ["KINDS", "LanguageKind", "language_of"]

KINDS: Final = (QWEN3_5, QWEN2_5_VL, QWEN3_VL, QWEN3, GEMMA2, GEMMA3, MISTRAL3, MINISTRAL3)


def language_of(weights: Weights) -> tuple[LanguageKind, Layout] | None:
    """The kind of language model that these tensors are, and its parts; None if they are none."""
    layout = Layout.of(weights)
    if layout is None:
        return None
    kind = next((kind for kind in KINDS if kind.recognise(layout)), None)
    return None if kind is None else (kind, layout)
