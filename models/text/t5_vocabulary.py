"""The T5 tokenizer: from a checkpoint, from the folders of tokenizers, or from the model hub."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from models.errors import CheckpointUnreadable, TokenizerMissing

logger = logging.getLogger(__name__)

# A tokenizer of the `tokenizers` library, or the model of SentencePiece that it was made from.
FILES: Final = ("tokenizer.json", "spiece.model")
# Folders in a folder of tokenizers in which these files may lie; the first is what we advise.
PLACES: Final = ("t5xxl", "t5", "t5-v1_1-xxl", "google/t5-v1_1-xxl", "t5-base")
HUB: Final = ("google-t5/t5-base", "tokenizer.json")  # all T5 of its time share one vocabulary
UMT5_PLACES: Final = ("umt5xxl", "umt5-xxl", "google/umt5-xxl", "umt5-base")
UMT5_HUB: Final = ("google/umt5-xxl", "tokenizer.json")

Ids = Callable[[str], Sequence[int]]


@dataclass(frozen=True, eq=False)
class T5Vocabulary:
    """Text to token ids, without the end; the tokenizer is looked for when it is first needed."""

    folders: tuple[Path, ...] = ()
    model: Tensor | None = None  # bytes of a SentencePiece model, as some checkpoints carry it
    asks_hub: bool = True
    places: Sequence[str] = PLACES
    hub: tuple[str, str] = HUB

    def __call__(self, text: str) -> Sequence[int]:
        """The ids; raises TokenizerMissing if there is no tokenizer."""
        return self._ids(text)

    @functools.cached_property
    def _ids(self) -> Ids:
        if self.model is not None:
            return from_sentencepiece(self.model.numpy().tobytes())
        path = find_tokenizer(self.folders, self.places)
        if path is None and self.asks_hub:
            path = from_hub(self.hub)
        if path is None:
            raise TokenizerMissing([folder / self.places[0] for folder in self.folders], FILES)
        return from_file(path)


def find_tokenizer(folders: Sequence[Path], places: Sequence[str] = PLACES) -> Path | None:
    """The file of the T5 tokenizer in folders of tokenizers."""
    candidates = (folder / place / file for folder in folders for place in places for file in FILES)
    return next((path for path in candidates if path.is_file()), None)


@functools.lru_cache(maxsize=4)
def from_file(path: Path) -> Ids:
    """The tokenizer of a file; raises CheckpointUnreadable."""
    if path.suffix == ".model":
        try:
            return from_sentencepiece(path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise CheckpointUnreadable(path, f"it is no SentencePiece model ({error})") from error
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower type
        raise CheckpointUnreadable(path, f"it is no tokenizer ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    @functools.lru_cache(maxsize=4096)
    def ids(text: str) -> Sequence[int]:
        return tuple(tokenizer.encode(text, add_special_tokens=False).ids)

    return ids


def from_sentencepiece(model: bytes) -> Ids:
    """The tokenizer of a SentencePiece model; raises RuntimeError."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=model)

    def ids(text: str) -> Sequence[int]:
        found: list[int] = processor.encode(text)
        return found

    return ids


def from_hub(file: tuple[str, str] = HUB) -> Path | None:
    """The tokenizer's file from the model hub or from what was fetched before; None offline."""
    from huggingface_hub import hf_hub_download

    repository, name = file
    try:
        return Path(hf_hub_download(repository, name, etag_timeout=5))
    except Exception as error:  # of the network or the hub, of many types
        logger.info("the T5 tokenizer could not be fetched: %s", error)
        return None
