"""Prompts to chunks of tokens, for encoders that use the CLIP vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models.text.chunks import ChunkFormat, Token
from models.text.embeddings import load_embedding
from models.text.prompt import Piece, parse_prompt
from models.text.vocabulary import clip_ids


@dataclass(frozen=True, kw_only=True)
class PromptTokenizer:
    """Makes the chunks that one text encoder takes."""

    encoder: str  # its name in embedding files, such as "clip_l"
    chunk_format: ChunkFormat
    ids: Callable[[str], Sequence[int]] = clip_ids  # text -> token ids without start and end
    embedding_folders: tuple[Path, ...] = ()

    def tokenize(self, prompt: str, use_weights: bool = True) -> list[list[Token]]:
        """The chunks of a prompt; each piece of it is a group of tokens."""
        pieces = parse_prompt(prompt, use_weights)
        return self.chunk_format.chunks(group for piece in pieces for group in self._groups(piece))

    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """As packs know tokens: ``{"l": [[(id or embedding, weight), ...], ...]}``."""
        from models.protocol.text import as_tokens

        return as_tokens(self.tokenize(text), return_word_ids)

    @property
    def embedding_directory(self) -> list[str]:
        """The folders of embeddings."""
        return [str(folder) for folder in self.embedding_folders]

    @property
    def clip_l(self) -> PromptTokenizer:
        """The tokenizer of the one encoder."""
        return self

    def _groups(self, piece: Piece) -> Iterator[list[Token]]:
        if not piece.is_embedding:
            yield self._text(piece.text, piece.weight)
            return
        rows, after = self._load(piece.text), piece.after
        if rows is None and piece.text.endswith(","):
            rows, after = self._load(piece.text.rstrip(",")), "," + after
        if rows is not None:
            yield [Token(row, piece.weight) for row in rows]
        if after:
            yield self._text(after, piece.weight)

    def _load(self, name: str) -> Tensor | None:
        return load_embedding(name, self.embedding_folders, self.encoder)

    def _text(self, text: str, weight: float) -> list[Token]:
        return [Token(number, weight) for number in self.ids(text)]
