"""Nodes that work on text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import ClassVar, Final

from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.text_patterns import BadPattern, Pattern

_TEXT: Final = ("STRING", {"multiline": True})
_LINE: Final = ("STRING", {"default": "", "multiline": False})
_YES: Final = ("BOOLEAN", {"default": True})
_NO: Final = ("BOOLEAN", {"default": False})

_CASES: Final[Mapping[str, Callable[[str], str]]] = {
    "UPPERCASE": str.upper,
    "lowercase": str.lower,
    "Capitalize": str.capitalize,
    "Title Case": str.title,
}
_TRIMS: Final[Mapping[str, Callable[[str], str]]] = {
    "Both": str.strip,
    "Left": str.lstrip,
    "Right": str.rstrip,
}
_COMPARISONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "Starts With": str.startswith,
    "Ends With": str.endswith,
    "Equal": str.__eq__,
}


class _StringNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_string"
    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)


class StringConcatenate(_StringNode):
    """Joins two texts."""

    DISPLAY_NAME = "Concatenate"
    REQUIRED = inputs(string_a=_TEXT, string_b=_TEXT, delimiter=_LINE)

    def run(self, string_a: str, string_b: str, delimiter: str) -> tuple[str]:
        """The delimiter is between them."""
        return (delimiter.join((string_a, string_b)),)


class StringSubstring(_StringNode):
    """Cuts a part out of a text."""

    DISPLAY_NAME = "Substring"
    REQUIRED = inputs(string=_TEXT, start=("INT",), end=("INT",))

    def run(self, string: str, start: int, end: int) -> tuple[str]:
        """Characters from `start` up to `end`; negative numbers count from the end."""
        return (string[start:end],)


class StringLength(_StringNode):
    """Counts the characters of a text."""

    DISPLAY_NAME = "Length"
    REQUIRED = inputs(string=_TEXT)
    RETURN_TYPES = ("INT",)
    RETURN_NAMES = ("length",)

    def run(self, string: str) -> tuple[int]:
        """Code points."""
        return (len(string),)


class CaseConverter(_StringNode):
    """Writes a text in capital or small letters."""

    DISPLAY_NAME = "Case Converter"
    REQUIRED = inputs(string=_TEXT, mode=(list(_CASES),))

    def run(self, string: str, mode: str) -> tuple[str]:
        """As Python does: `ß` becomes `SS`, every letter after a non-letter starts a title word."""
        return (_CASES[mode](string),)


class StringTrim(_StringNode):
    """Takes white space off the ends of a text."""

    DISPLAY_NAME = "Trim"
    REQUIRED = inputs(string=_TEXT, mode=(list(_TRIMS),))

    def run(self, string: str, mode: str) -> tuple[str]:
        """At both ends or one."""
        return (_TRIMS[mode](string),)


class StringReplace(_StringNode):
    """Replaces a part of a text wherever it is."""

    DISPLAY_NAME = "Replace"
    REQUIRED = inputs(string=_TEXT, find=_TEXT, replace=_TEXT)

    def run(self, string: str, find: str, replace: str) -> tuple[str]:
        """An empty `find` is found between all characters."""
        return (string.replace(find, replace),)


class StringContains(_StringNode):
    """Says whether a text contains another."""

    DISPLAY_NAME = "Contains"
    REQUIRED = inputs(string=_TEXT, substring=_TEXT, case_sensitive=_YES)
    RETURN_TYPES = ("BOOLEAN",)
    RETURN_NAMES = ("contains",)

    def run(self, string: str, substring: str, case_sensitive: bool) -> tuple[bool]:
        """With or without regard to case."""
        if not case_sensitive:
            string, substring = string.lower(), substring.lower()
        return (substring in string,)


class StringCompare(_StringNode):
    """Compares two texts."""

    DISPLAY_NAME = "Compare"
    REQUIRED = inputs(
        string_a=_TEXT, string_b=_TEXT, mode=(list(_COMPARISONS),), case_sensitive=_YES
    )
    RETURN_TYPES = ("BOOLEAN",)

    def run(self, string_a: str, string_b: str, mode: str, case_sensitive: bool) -> tuple[bool]:
        """Whether the first starts with, ends with or equals the second."""
        if not case_sensitive:
            string_a, string_b = string_a.lower(), string_b.lower()
        return (_COMPARISONS[mode](string_a, string_b),)


class RegexMatch(_StringNode):
    """Says whether a pattern is found in a text."""

    DISPLAY_NAME = "Regex Match"
    REQUIRED = inputs(
        string=_TEXT, regex_pattern=_TEXT, case_insensitive=_YES, multiline=_NO, dotall=_NO
    )
    RETURN_TYPES = ("BOOLEAN",)
    RETURN_NAMES = ("matches",)

    def run(
        self,
        string: str,
        regex_pattern: str,
        case_insensitive: bool,
        multiline: bool,
        dotall: bool,
    ) -> tuple[bool]:
        """A pattern that cannot be read matches nothing."""
        try:
            pattern = Pattern(
                regex_pattern, ignore_case=case_insensitive, multiline=multiline, dotall=dotall
            )
        except BadPattern:
            return (False,)
        return (any(True for _ in pattern.found(string)),)


class RegexExtract(_StringNode):
    """Takes what a pattern matches out of a text."""

    DISPLAY_NAME = "Regex Extract"
    REQUIRED = inputs(
        string=_TEXT,
        regex_pattern=_TEXT,
        mode=(["First Match", "All Matches", "First Group", "All Groups"],),
        case_insensitive=_YES,
        multiline=_NO,
        dotall=_NO,
        group_index=("INT", {"default": 1, "min": 0, "max": 100}),
    )

    def run(
        self,
        string: str,
        regex_pattern: str,
        mode: str,
        case_insensitive: bool,
        multiline: bool,
        dotall: bool,
        group_index: int,
    ) -> tuple[str]:
        """Several matches are one a line; nothing found, or no readable pattern: an empty text."""
        try:
            pattern = Pattern(
                regex_pattern, ignore_case=case_insensitive, multiline=multiline, dotall=dotall
            )
        except BadPattern:
            return ("",)
        found = pattern.found(string)
        if mode.startswith("First"):
            found = islice(found, 1)
        if mode == "First Match":
            group = 0
        elif mode == "All Matches":
            group = min(1, pattern.groups)  # with groups, what the first of them holds
        else:
            group = group_index
        if group > pattern.groups:
            return ("",)
        return ("\n".join(match[group] or "" for match in found),)


class RegexReplace(_StringNode):
    """Replaces what a pattern matches in a text."""

    DISPLAY_NAME = "Regex Replace"
    REQUIRED = inputs(string=_TEXT, regex_pattern=_TEXT, replace=_TEXT)
    OPTIONAL = inputs(
        case_insensitive=_YES,
        multiline=_NO,
        dotall=_NO,
        count=("INT", {"default": 0, "min": 0, "max": 100}),
    )

    def run(
        self,
        string: str,
        regex_pattern: str,
        replace: str,
        case_insensitive: bool = True,
        multiline: bool = False,
        dotall: bool = False,
        count: int = 0,
    ) -> tuple[str]:
        """At most `count` times, 0: always. Raises BadPattern."""
        pattern = Pattern(
            regex_pattern, ignore_case=case_insensitive, multiline=multiline, dotall=dotall
        )
        return (pattern.replaced(replace, string, count),)
