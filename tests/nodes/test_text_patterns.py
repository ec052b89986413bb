"""Patterns of clients: they match as Python's do, and end."""

from __future__ import annotations

import re

import pytest

from nodes import text_patterns
from nodes.strings import RegexExtract, RegexMatch, RegexReplace
from nodes.text_patterns import BadPattern, Pattern, PatternTooSlow

TEXT = "One {two} a{e} [three]\n\nFour-5 six_7 \u00fcber {e<=1} {,} x{2} aaa AAA \\{q}"
PATTERNS = [
    "a", "x*", "", "^", "$", "^.*$", r"\b", r"\w+", r"(\w)(\d)?", "(?P<word>[a-z]+)-(?P<n>\\d)",
    "a{e}", "{e<=1}", r"\{two\}", "x{2}", "a{2}", "a{2,}", "a{,2}", "[{e}]", r"\\{q}",
    r"(?<=a)\{", r"\N{LATIN SMALL LETTER U WITH DIAERESIS}", "(?i:AAA)", "a|aa", "(a|aa)+?$",
    r"(?m)^\w", r"(?s)e.*F", "(?x) a  # comment", "[[a]", "(?!a)a|b", "(a)(?(1)a|b)", "[^\n]*\n",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_python_finds(pattern: str, ignore_case: bool) -> None:
    plain = re.compile(pattern, re.IGNORECASE if ignore_case else re.NOFLAG)
    ours = Pattern(pattern, ignore_case=ignore_case)
    expected = [(match.span(), match.groups()) for match in plain.finditer(TEXT)]
    assert [(match.span(), match.groups()) for match in ours.found(TEXT)] == expected
    for replacement, count in (("-", 0), (r"<\g<0>>", 0), (r"\n", 2)):
        expected_text = plain.sub(replacement, TEXT, count=count)
        assert ours.replaced(replacement, TEXT, count) == expected_text


@pytest.mark.parametrize("pattern", ["(", "[a-", "*", r"\p{L}", "(?<a", "(?P<1>a)", "a{2,1}"])
def test_what_python_does_not_read_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(pattern, ignore_case=False)


@pytest.mark.parametrize("replacement", [r"\2", r"\g<b>", r"\q", r"\g<"])
def test_a_replacement_that_python_does_not_read_is_refused(replacement: str) -> None:
    with pytest.raises(BadPattern, match="replacement"):
        Pattern("(?P<a>x)", ignore_case=False).replaced(replacement, "x")


def test_a_search_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_patterns, "_LONGEST", 0.05)
    endless = r"(?:a|a|b{e})+?(?:a|a)+$"
    text = "a" * 60 + "!"
    with pytest.raises(PatternTooSlow, match="was searched for"):
        RegexMatch().run(text, endless, True, False, False)
    with pytest.raises(PatternTooSlow):
        RegexExtract().run(text, endless, "First Match", True, False, False, 1)
    with pytest.raises(PatternTooSlow):
        RegexReplace().run(text, endless, "b")


def test_the_first_match_is_found_without_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_patterns, "_LONGEST", 0.05)
    text = "b" + "a" * 60 + "!"
    assert RegexExtract().run(text, r"b|(?:a|a)+$", "First Match", True, False, False, 1) == ("b",)
