"""The tensors of a language model by part, whatever prefixes its file has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from torch import Tensor

from models.families.language.gguf_names import from_gguf
from models.weights import Weights

_TABLE: Final = "embed_tokens.weight"
_HEAD: Final = "lm_head.weight"
# Of the text model, in files of the authors and of transformers, old and new.
_TEXT: Final = ("model.language_model.", "language_model.model.", "language_model.", "model.", "")
_VISION: Final = (
    "model.visual.", "visual.", "model.vision_tower.vision_model.", "vision_tower.vision_model.",
    "model.vision_tower.", "vision_tower.", "vision_model.",
)  # fmt: skip
_PROJECTOR: Final = ("model.multi_modal_projector.", "multi_modal_projector.")
_VOCABULARIES: Final = ("spiece_model", "tekken_model", "tokenizer_json")
_INSIDE: Final = ".transformer."  # `text_encoders.<name>.transformer.` in whole checkpoints


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The parts of a language model: names start with `layers.0.` and the like."""

    text: Weights
    vision: Weights  # without tensors if it takes no pictures
    projector: Weights  # from the width of the vision model to that of the text model
    head: Tensor | None  # from hidden states to scores of tokens; None: the table of tokens is it
    vocabulary: Tensor | None  # the bytes of a tokenizer's file
    is_gguf: bool = False

    @classmethod
    def of(cls, weights: Weights) -> Self | None:
        """The parts in a file; None for other models."""
        weights = replace(weights, tensors=_without_outer(weights.tensors))
        named = from_gguf(weights.tensors)
        tensors = weights.tensors if named is None else named
        prefix = next((prefix for prefix in _TEXT if prefix + _TABLE in tensors), None)
        if prefix is None or f"{prefix}layers.0.mlp.down_proj.weight" not in tensors:
            return None
        whole = replace(weights, tensors=dict(tensors))
        vision, projector = whole.below(*_VISION), whole.below(*_PROJECTOR)
        text = whole.below(prefix)
        names = (f"{outer}{_HEAD}" for outer in ("", "model.", "language_model."))
        return cls(
            text=replace(text, tensors=_only_text(text.tensors)),
            vision=vision,
            projector=projector,
            head=next((tensors[name] for name in names if name in tensors), None),
            vocabulary=_vocabulary(tensors),
            is_gguf=named is not None,
        )

    def has(self, *names: str) -> bool:
        """Whether the text model has all these tensors."""
        return all(name in self.text.tensors for name in names)


def _without_outer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefix that whole checkpoints put before a text encoder's."""
    inside = next((name for name in tensors if _INSIDE in name and name.endswith(_TABLE)), None)
    if inside is None:
        return dict(tensors)
    outer = inside.partition(_INSIDE)[0]
    found = {
        name.removeprefix(outer + "."): tensor
        for name, tensor in tensors.items()
        if name.startswith(outer + ".")
    }
    return {name.removeprefix(_INSIDE[1:]): tensor for name, tensor in found.items()}


def _only_text(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith(("layers.", "embed_tokens.", "norm."))
    }


def _vocabulary(tensors: Mapping[str, Tensor]) -> Tensor | None:
    names: Iterable[str] = (name for name in tensors if name.endswith(_VOCABULARIES))
    return next((tensors[name] for name in names if tensors[name].ndim == 1), None)
