"""Tokenizers of language models: texts to token ids and back, marks such as `<|im_end|>` as one."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from torch import Tensor

from models.errors import CheckpointUnreadable, LanguageTokenizerMissing
from models.text.language.qwen_vocabulary import qwen_tokenizer
from models.text.language.sentencepieces import SentencePieces
from models.text.language.tekken import is_tekken, tekken_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE: Final = "tokenizer.json"  # of the `tokenizers` library, as models are published with
TEKKEN: Final = "tekken.json"  # as Mistral's models are published with


class Vocabulary(Protocol):
    """A tokenizer."""

    def ids(self, text: str) -> list[int]:
        """Token ids, without a start; marks in the text are one token each."""

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without marks of turns and ends."""

    def mark(self, name: str) -> int | None:
        """The id of a mark; None if there is none."""


class JsonVocabulary:
    """A tokenizer of the `tokenizers` library."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer

    def ids(self, text: str) -> list[int]:
        """See Vocabulary."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, ids: Sequence[int]) -> str:
        """See Vocabulary."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def mark(self, name: str) -> int | None:
        """See Vocabulary."""
        return self._tokenizer.token_to_id(name)


class LazyVocabulary:
    """A tokenizer that is made when it is first needed: most models are loaded to encode once."""

    def __init__(self, make: Callable[[], Vocabulary]) -> None:
        self._make = make

    @functools.cached_property
    def _made(self) -> Vocabulary:
        return self._make()

    def ids(self, text: str) -> list[int]:
        """See Vocabulary."""
        return self._made.ids(text)

    def text(self, ids: Sequence[int]) -> str:
        """See Vocabulary."""
        return self._made.text(ids)

    def mark(self, name: str) -> int | None:
        """See Vocabulary."""
        return self._made.mark(name)


def vocabulary_for(
    kind: str, model: Path, inside: Tensor | None, size: int, folders: Sequence[Path]
) -> Vocabulary:
    """The tokenizer of a model: a file of its own name, what is inside of it, or what we have.

    `inside` are the bytes of a tokenizer's file in the model file, `size` is how many tokens the
    model knows. Raises LanguageTokenizerMissing, CheckpointUnreadable.
    """
    files = (FILE, TEKKEN)
    named = [
        path
        for file in files
        for path in (model.with_suffix(f".{file}"), model.with_suffix("") / file)
    ]
    for path in named:
        if path.is_file():
            return from_json_file(path)
    if inside is not None:
        return from_bytes(model, inside.numpy().tobytes())
    shared = [folder / kind / file for folder in folders for file in files]
    for path in (*shared, *(model.parent / file for file in files)):
        if path.is_file():
            return from_json_file(path)
    if kind in ("qwen2_5_vl", "qwen3", "qwen3_vl") and size <= _MOST_OF_QWEN:
        return JsonVocabulary(qwen_tokenizer())
    raise LanguageTokenizerMissing(kind, (*named[:1], *shared[:1]))


_MOST_OF_QWEN: Final = 152_064  # rows of Qwen's tables: later models have another vocabulary


def from_bytes(path: Path, content: bytes) -> Vocabulary:
    """The tokenizer of a file's bytes: JSON, or a SentencePiece model."""
    if content.lstrip()[:1] == b"{":
        return JsonVocabulary(_parsed(path, content.decode("utf-8", "replace")))
    try:
        return SentencePieces(content)
    except RuntimeError as error:
        raise CheckpointUnreadable(path, f"its tokenizer is malformed ({error})") from error


@functools.lru_cache(maxsize=4)
def from_json_file(path: Path) -> Vocabulary:
    """The tokenizer of a `tokenizer.json`; raises CheckpointUnreadable."""
    try:
        return JsonVocabulary(_parsed(path, path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointUnreadable(path, str(error)) from error


def _parsed(path: Path, text: str) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        document = json.loads(text)
        if is_tekken(document):
            return tekken_tokenizer(document)
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises no narrower type
        raise CheckpointUnreadable(path, f"it is no tokenizer ({error})") from error
