"""How a model family asks a language model for the features of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.errors import InvalidInput
from models.families.language.seeing import Eyes
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
    is_normed: bool = True  # whether the last layer's output goes through the norm after it
    after: str = ""  # the result begins after this part of the text
    minimum: int = 0  # tokens: fewer are followed by pads, to which nothing attends


@dataclass(frozen=True, kw_only=True)
class LanguageTokenizer(PromptTokenizer):
    """Makes the one chunk of a prompt.

    Parentheses are text like any other: who writes whole sentences means them so.
    """

    vocabulary: Vocabulary
    eyes: Eyes | None = None  # None: it takes no pictures
    prompting: Prompting = Prompting()

    def tokenize(
        self,
        prompt: str,
        use_weights: bool = True,
        *,
        template: str | None = None,
        pictures: Sequence[Picture] = (),
    ) -> list[list[Token]]:
        """The chunk of a prompt, in the family's template or in another, of pictures if it sees.

        Pictures stand where the text has marks of them, else before the prompt.
        """
        before, _, after = (template or self.prompting.template).partition("{}")
        prompt, shown = self.introduced(prompt, pictures, before + after)
        tokens = self.tokens(before + prompt + after, shown)
        pads = max(0, self.chunk_format.minimum - len(tokens), self.chunk_format.padding)
        return [tokens + [Token(self.chunk_format.pad)] * pads]

    def introduced(
        self, prompt: str, pictures: Sequence[Picture], template: str = ""
    ) -> tuple[str, list[Picture]]:
        """A prompt with a place for each picture, and what is to be seen in these places.

        Pictures stand where the prompt or its template has marks of them, else before it. Raises
        InvalidInput for a model that cannot see.
        """
        if not pictures:
            return prompt, []
        if self.eyes is None:
            raise InvalidInput("this kind of language model takes no pictures")
        shown = [pair for picture in pictures for pair in self.eyes.introduce(picture)]
        missing = max(0, len(shown) - (template + prompt).count(self.eyes.mark))
        before = "".join(text for text, _ in shown[:missing])
        return before + prompt, [picture for _, picture in shown]

    def tokens(self, text: str, pictures: Sequence[Picture] = ()) -> list[Token]:
        """The tokens of a text, with pictures in the places that it has for them."""
        parts = [text] if self.eyes is None else text.split(self.eyes.mark, len(pictures))
        found = self._plain(parts[0])
        for picture, part in zip(pictures, parts[1:], strict=False):
            found += [Token(0, group=1, picture=picture), *self._plain(part)]
        return found

    def _plain(self, text: str) -> list[Token]:
        return [Token(number, group=1) for number in self.vocabulary.ids(text)]

    def begin(self, chunk: Sequence[Token]) -> int:
        """How many tokens at the start of a chunk are left out of what is encoded."""
        mark = self.vocabulary.ids(self.prompting.after) if self.prompting.after else []
        values = [token.value if token.picture is None else None for token in chunk]
        places = range(len(values) - len(mark) + 1)
        found = (place for place in places if values[place : place + len(mark)] == mark)
        return next(found, -len(mark)) + len(mark)


def chunk_format(pad: int, minimum: int = 0) -> ChunkFormat:
    """How language models want their tokens: without an end, in one chunk of any length."""
    return ChunkFormat(end=pad, pad=pad, length=None, minimum=minimum)


def with_prompting(tokenizer: LanguageTokenizer, prompting: Prompting) -> LanguageTokenizer:
    """The tokenizer of another family."""
    form = replace(tokenizer.chunk_format, minimum=prompting.minimum)
    return replace(tokenizer, prompting=prompting, chunk_format=form)
