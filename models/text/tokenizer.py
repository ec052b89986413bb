"""Prompts to chunks of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from models.protocol.tokens import as_pairs
from models.text.chunks import ChunkFormat, Picture, Token
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

    def tokenize(
        self,
        prompt: str,
        use_weights: bool = True,
        *,
        template: str | None = None,
        pictures: Sequence[Picture] = (),
    ) -> list[list[Token]]:
        """The chunks of a prompt; each piece of it is a group of tokens.

        Templates and pictures are for language models alone.
        """
        pieces = parse_prompt(prompt, use_weights)
        return self.chunk_format.chunks(group for piece in pieces for group in self._groups(piece))

    def with_options(self, options: Mapping[str, Any]) -> PromptTokenizer:
        """The tokenizer with what options such as `t5xxl_min_length` say about this encoder.

        They say how long the one chunk of an encoder without a fixed length is at least
        (`min_length`), and how many pads end it at least (`min_padding`).
        """
        chunk_format = self.chunk_format
        if chunk_format.length is not None:
            return self
        minimum = options.get(f"{self.encoder}_min_length", chunk_format.minimum)
        padding = options.get(f"{self.encoder}_min_padding", chunk_format.padding)
        if (minimum, padding) == (chunk_format.minimum, chunk_format.padding):
            return self
        return replace(self, chunk_format=replace(chunk_format, minimum=minimum, padding=padding))

    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **kwargs: Any
    ) -> list[list[tuple[Any, ...]]]:
        """As packs know tokens: ``[[(id or embedding, weight), ...], ...]``."""
        return as_pairs(self.tokenize(text), return_word_ids)

    @property
    def embedding_directory(self) -> list[str]:
        """The folders of embeddings."""
        return [str(folder) for folder in self.embedding_folders]

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
