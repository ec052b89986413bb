"""Splits a prompt into pieces of text and embeddings, each with its weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

EMPHASIS: Final = 1.1  # what a pair of parentheses without a number multiplies by
EMBEDDING_MARK: Final = "embedding:"

# Escaped parentheses while the others are parsed: characters that no keyboard makes.
_HIDDEN: Final = {"\\(": "\0\1", "\\)": "\0\2"}
_SHOWN: Final = {"\0\1": "(", "\0\2": ")"}


@dataclass(frozen=True)
class Piece:
    """A part of a prompt: text, or the name of an embedding."""

    text: str
    weight: float
    is_embedding: bool = False
    after: str = ""  # text that follows the name of an embedding


def parse_prompt(prompt: str, use_weights: bool = True) -> list[Piece]:
    """The pieces of a prompt in order. `(a)` weighs 1.1 times, `(a:1.3)` weighs 1.3.

    `\\(` and `\\)` are plain parentheses. Without weights, parentheses are text like any other.
    """
    hidden = _replace(prompt, _HIDDEN)
    spans = list(_spans(hidden, 1.0)) if use_weights else [(hidden, 1.0)]
    return [
        piece for text, weight in spans for piece in _embeddings(_replace(text, _SHOWN), weight)
    ]


def _replace(text: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        text = text.replace(old, new)
    return text


def _spans(text: str, weight: float) -> Iterator[tuple[str, float]]:
    """Texts between the parentheses, with the weights they have there."""
    for part, is_group in _groups(text):
        if not is_group:
            yield part, weight
            continue
        content, stated = _stated_weight(part)
        yield from _spans(content, weight * EMPHASIS if stated is None else stated)


def _groups(text: str) -> Iterator[tuple[str, bool]]:
    """(text, False) outside of parentheses and (content, True) for each closed outer pair."""
    start, depth, opened = 0, 0, 0
    for index, character in enumerate(text):
        if character == "(":
            if depth == 0:
                opened = index
            depth += 1
        elif character == ")":
            depth -= 1  # below 0 after a stray one, which then pairs with the next "("
            if depth == 0:
                if start < opened:
                    yield text[start:opened], False
                yield text[opened + 1 : index], True
                start = index + 1
    if depth > 0 and start < opened:
        yield text[start:opened], False  # an unclosed parenthesis begins a piece of its own
        start = opened
    if start < len(text):
        yield text[start:], False


def _stated_weight(content: str) -> tuple[str, float | None]:
    colon = content.rfind(":")
    if colon > 0:
        try:
            return content[:colon], float(content[colon + 1 :])
        except ValueError:
            pass
    return content, None


def _embeddings(text: str, weight: float) -> Iterator[Piece]:
    """A mark counts at the start of the text and after a space or a line's end."""
    first, *rest = text.replace("\n" + EMBEDDING_MARK, " " + EMBEDDING_MARK).split(
        " " + EMBEDDING_MARK
    )
    if first.startswith(EMBEDDING_MARK):
        rest.insert(0, first.removeprefix(EMBEDDING_MARK))
    elif first:
        yield Piece(first, weight)
    for part in rest:
        name, after = _split_name(part)
        yield Piece(name, weight, is_embedding=True, after=after)


def _split_name(text: str) -> tuple[str, str]:
    """The name up to the first white space, and what follows it."""
    for index, character in enumerate(text):
        if character.isspace():
            return text[:index], text[index:]
    return text, ""
