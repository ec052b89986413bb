"""How a model family asks a language model for the features of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.text.chunks import ChunkFormat, Picture, Token
from models.text.language.vocabulary import Vocabulary
from models.text.tokenizer import PromptTokenizer


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """A template, and whose output is taken.

    Layers are counted as transformers counts hidden states: 0 is the table of tokens, -1 the last
    layer after the norm. Those of several are joined along their features.
    """

    template: str = "{}"  # the prompt takes the place of the braces
    layers: tuple[int, ...] = (-1,)
    skipped: str = ""  # what the template begins with, and what is left out of the result
    minimum: int = 0  # tokens: fewer are followed by pads, to which nothing attends


@dataclass(frozen=True, kw_only=True)
class LanguageTokenizer(PromptTokenizer):
    """Makes the one chunk of a prompt.

    Parentheses are text like any other: who writes whole sentences means them so.
    """

    vocabulary: Vocabulary
    picture_mark: str | None = None  # what stands for a picture in templates and prompts
    prompting: Prompting = Prompting()

    def tokenize(
        self,
        prompt: str,
        use_weights: bool = True,
        *,
        template: str | None = None,
        pictures: Sequence[Picture] = (),
    ) -> list[list[Token]]:
        """The chunk of a prompt, in the family's template or in another."""
        before, _, after = (template or self.prompting.template).partition("{}")
        tokens = self.tokens(before + prompt + after, pictures)
        pads = max(0, self.chunk_format.minimum - len(tokens), self.chunk_format.padding)
        return [tokens + [Token(self.chunk_format.pad)] * pads]

    def tokens(self, text: str, pictures: Sequence[Picture] = ()) -> list[Token]:
        """The tokens of a text, with pictures in the places that it has for them."""
        mark = self.picture_mark
        parts = [text] if mark is None else text.split(mark, len(pictures))
        found = self._plain(parts[0])
        for picture, part in zip(pictures, parts[1:], strict=False):
            found += [Token(0, group=1, picture=picture), *self._plain(part)]
        return found

    def _plain(self, text: str) -> list[Token]:
        return [Token(number, group=1) for number in self.vocabulary.ids(text)]

    def begin(self, chunk: Sequence[Token]) -> int:
        """How many tokens at the start of a chunk are left out of what is encoded."""
        skipped = self.vocabulary.ids(self.prompting.skipped) if self.prompting.skipped else []
        values = [token.value for token in chunk[: len(skipped)]]
        return len(skipped) if values == skipped else 0


def chunk_format(pad: int, minimum: int = 0) -> ChunkFormat:
    """How language models want their tokens: without an end, in one chunk of any length."""
    return ChunkFormat(end=pad, pad=pad, length=None, minimum=minimum)


def with_prompting(tokenizer: LanguageTokenizer, prompting: Prompting) -> LanguageTokenizer:
    """The tokenizer of another family."""
    form = replace(tokenizer.chunk_format, minimum=prompting.minimum)
    return replace(tokenizer, prompting=prompting, chunk_format=form)
