"""Language models' handles, made of the weights of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from models.families.language import LanguageKind, language_of
from models.families.language.kind import build_head, build_text
from models.families.language.layout import Layout
from models.memory import Policy
from models.stored.holding import Storage
from models.text.language.encoder import LanguageEncoder
from models.text.language.prompting import LanguageTokenizer, Prompting, chunk_format
from models.text.language.vocabulary import LazyVocabulary, vocabulary_for
from models.weights import Weights

# Pads, where models are padded at all.
_PADS: Final = {"qwen2_5_vl": 151643, "qwen3": 151643, "qwen3_vl": 151643}


def language_encoder(
    key: str,
    number: int,
    weights: Weights,
    prompting: Prompting,
    policy: Policy,
    storage: Storage,
    tokenizers: Sequence[Path],
) -> LanguageEncoder | None:
    """The language model of a file, asked as a family asks it; None if the file holds none."""
    found = language_of(weights)
    if found is None:
        return None
    kind, layout = found
    # Their activations overflow float16.
    dtype = torch.bfloat16 if policy.text_dtype == torch.float16 else policy.text_dtype

    def fetch(part: str, build: Any) -> Any:
        kept = ("language model", part, dtype, storage)
        return policy.library.fetch(kept, (weights.path,), build)

    def build_vision() -> Any:
        return None if kind.eyes is None else kind.eyes.build(layout, dtype, storage)

    return LanguageEncoder(
        number=number,
        network=fetch("text", lambda: build_text(kind, layout, dtype, storage)),
        tokenizer=_tokenizer(key, kind, layout, prompting, tokenizers),
        kind=kind,
        head=fetch("head", lambda: build_head(layout, dtype, storage)),
        vision=fetch("vision", build_vision),
        inside=layout.vocabulary,
        can_write=layout.head is not None or kind.is_tied(layout),
    )


def _tokenizer(
    key: str, kind: LanguageKind, layout: Layout, prompting: Prompting, folders: Sequence[Path]
) -> LanguageTokenizer:
    size = layout.text.shape("embed_tokens.weight")[0]
    return LanguageTokenizer(
        encoder=key,
        chunk_format=chunk_format(_PADS.get(kind.name, 0), prompting.minimum),
        vocabulary=LazyVocabulary(
            lambda: vocabulary_for(kind.name, layout.text.path, layout.vocabulary, size, folders)
        ),
        eyes=kind.eyes,
        prompting=prompting,
    )
