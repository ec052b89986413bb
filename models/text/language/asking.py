"""Questions to the language model of a handle, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.errors import InvalidInput
from models.text.chunks import Picture
from models.text.handle import TextHandle
from models.text.language.choosing import Sampling
from models.text.language.encoder import LanguageEncoder
from models.text.language.generation import Writing, write
from models.text.language.speech import SPEECHES, without_thoughts


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a language model is asked."""

    prompt: str
    system: str | None = None  # instructions; None: those that the kind has by itself
    pictures: Sequence[Picture] = ()
    thinks: bool = False
    is_chat: bool = True  # False: the prompt is all of the text, and is continued


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What it says, and what it thought before."""

    text: str
    thoughts: str


def language_model_of(handle: TextHandle) -> LanguageEncoder:
    """The language model among the text encoders of a handle; raises InvalidInput."""
    for encoder in handle.encoders.values():
        if isinstance(encoder, LanguageEncoder):
            return encoder
    raise InvalidInput(
        f"these text encoders write no texts ({', '.join(handle.encoders)}): load a language model "
        f"such as Qwen3, Qwen3-VL or Gemma 3"
    )


def ask(
    handle: TextHandle,
    question: Question,
    *,
    most: int,
    sampling: Sampling | None = None,
    on_token: Callable[[int], None] = lambda count: None,
) -> Answer:
    """The answer, of `most` tokens at most; without sampling, of the best ones.

    `on_token` is told how many there are, and may raise. Raises InvalidInput for pictures that the
    model cannot take.
    """
    encoder = language_model_of(handle)
    speech, vocabulary = SPEECHES[encoder.kind.name], encoder.tokenizer.vocabulary
    prompt, pictures = encoder.tokenizer.introduced(question.prompt, question.pictures)
    if question.is_chat:
        text = speech.chat(prompt, question.system, thinks=question.thinks)
    else:
        text = speech.plain((question.system or "") + prompt)
    ends = [mark for name in speech.ends if (mark := vocabulary.mark(name)) is not None]
    tokens = encoder.tokenizer.tokens(text, pictures)
    writing = Writing(most=most, sampling=sampling, ends=ends)
    written = write(encoder, tokens, writing, handle.policy, on_token)
    begun = question.is_chat and question.thinks and bool(speech.thinking)
    answer, thoughts = without_thoughts(vocabulary.text(written), begun=begun)
    return Answer(text=answer, thoughts=thoughts)
