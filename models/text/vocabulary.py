"""The CLIP tokenizer, built from the vocabulary file that the package open_clip_torch carries."""

from __future__ import annotations

import functools
import gzip
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.errors import VocabularyMissing

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

PACKAGE: Final = "open_clip_torch"
FILE: Final = "bpe_simple_vocab_16e6.txt.gz"
MERGES: Final = 49152 - 256 - 2  # the file holds more than CLIP was trained with
START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"


def vocabulary_file() -> Path:
    """Where the file lies. The package is not imported: it would load much that is not used."""
    try:
        entries = files(PACKAGE) or []
    except PackageNotFoundError:
        raise VocabularyMissing from None
    for entry in entries:
        path = Path(str(entry.locate()))
        if entry.name == FILE and path.is_file():
            return path
    raise VocabularyMissing


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes in GPT-2's byte-level BPE, in CLIP's order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + index) for index in range(others)]


@functools.cache
def clip_tokenizer() -> CLIPTokenizer:
    """The tokenizer: 49408 tokens, of which the last two are the start and the end."""
    from transformers import CLIPTokenizer

    with gzip.open(vocabulary_file(), "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : MERGES + 1]
    merges = [tuple(line.split()) for line in lines]
    alphabet = byte_alphabet()
    tokens = [
        *alphabet,
        *(character + "</w>" for character in alphabet),
        *("".join(pair) for pair in merges),
        START,
        END,
    ]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


@functools.lru_cache(maxsize=4096)
def clip_ids(text: str) -> tuple[int, ...]:
    """Token ids of a text, without start and end. At most 4096 texts are kept."""
    return tuple(clip_tokenizer()(text)["input_ids"][1:-1])
