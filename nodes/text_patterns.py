"""Regular expressions that clients give: Python's, with an end to how long they may search.

Some patterns take longer than anyone lives on a short text, and Python's own module holds the whole
process meanwhile. The package `regex` ends after a time, and lets others run until then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import regex

from models.errors import InvalidInput

_LONGEST: Final = 10.0  # seconds

# What is escaped, and braces that are nothing but braces: no number follows. `regex` would see an
# inexact match in `a{e}`.
_BRACES: Final = re.compile(r"\\N\{[^}]*\}|\\.|\{(?=[^0-9,])", re.DOTALL)


class BadPattern(ValueError):
    """A regular expression, or what is to stand in its place, cannot be read."""

    def __init__(self, kind: str, text: str, reason: Exception) -> None:
        super().__init__(f"the {kind} {text[:200]!r} cannot be read: {reason}")


class PatternTooSlow(InvalidInput):
    """A pattern takes too long on a text."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"the pattern {text[:200]!r} was searched for {_LONGEST:g} s and not found: write it "
            "so that there are fewer ways to match a text, as with (a+)+"
        )


class Pattern:
    """A pattern as the module `re` reads it. Raises BadPattern."""

    def __init__(
        self, text: str, *, ignore_case: bool, multiline: bool = False, dotall: bool = False
    ) -> None:
        flags = (
            (re.IGNORECASE if ignore_case else re.NOFLAG)
            | (re.MULTILINE if multiline else re.NOFLAG)
            | (re.DOTALL if dotall else re.NOFLAG)
        )
        self._text = text
        try:
            self._read = re.compile(text, flags)
            plain = _BRACES.sub(lambda found: r"\{" if found[0] == "{" else found[0], text)
            self._search = regex.compile(plain, int(flags) | regex.VERSION0)
        except (re.error, regex.error, OverflowError, RecursionError) as error:
            raise BadPattern("pattern", text, error) from error
        self.groups = self._read.groups

    def found(self, text: str) -> Iterator[Any]:
        """The matches in a text, one after another. Raises PatternTooSlow."""
        with self._in_time():
            yield from self._search.finditer(text, timeout=_LONGEST, concurrent=True)

    def replaced(self, replacement: str, text: str, count: int = 0) -> str:
        """The text with at most `count` matches replaced, 0: all.

        Raises PatternTooSlow, and BadPattern for a replacement that cannot be read.
        """
        try:
            self._read.sub(replacement, "")  # reads the replacement, and searches nothing
            with self._in_time():
                result: str = self._search.sub(
                    replacement, text, count=count, timeout=_LONGEST, concurrent=True
                )
        except (re.error, regex.error, IndexError) as error:
            raise BadPattern("replacement", replacement, error) from error
        return result

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise PatternTooSlow(self._text) from None
