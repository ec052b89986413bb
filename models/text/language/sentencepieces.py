"""SentencePiece models as language models have them: Gemma's, inside of model files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

# Gemma's marks. Its other symbols in angle brackets, those of HTML, are text.
_MARK: Final = re.compile(r"<(start|end)_of_\w+>|<(bos|eos|pad|mask)>|<unused\d+>")


class SentencePieces:
    """A tokenizer; control symbols and Gemma's marks are no text."""

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self._processor = SentencePieceProcessor(model_proto=model)
        self._marks = dict(self._find_marks())
        longest_first = sorted(self._marks, key=len, reverse=True)
        self._any_mark = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def _find_marks(self) -> Iterator[tuple[str, int]]:
        processor = self._processor
        for number in range(processor.get_piece_size()):
            piece = processor.id_to_piece(number)
            if processor.is_control(number) or _MARK.fullmatch(piece):
                yield piece, number

    def ids(self, text: str) -> list[int]:
        """Token ids, without a start; marks in the text are one token each."""
        found: list[int] = []
        begin = 0
        for match in self._any_mark.finditer(text):
            found += self._plain(text[begin : match.start()])
            found.append(self._marks[match.group()])
            begin = match.end()
        return found + self._plain(text[begin:])

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(text) if text else []
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without marks."""
        marks = set(self._marks.values())
        kept = [number for number in ids if number not in marks and number < self._size]
        text: str = self._processor.decode(kept)
        return text

    @property
    def _size(self) -> int:
        size: int = self._processor.get_piece_size()
        return size

    def mark(self, name: str) -> int | None:
        """The id of a mark; None if there is none."""
        return self._marks.get(name)
