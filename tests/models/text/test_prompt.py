from __future__ import annotations

from typing import Any

import pytest

from models.text.prompt import Piece, parse_prompt


def pairs(prompt: str) -> list[tuple[str, Any]]:
    return [(piece.text, pytest.approx(piece.weight)) for piece in parse_prompt(prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", []),
        ("a cat", [("a cat", 1.0)]),
        ("a (cat) here", [("a ", 1.0), ("cat", 1.1), (" here", 1.0)]),
        ("((cat))", [("cat", 1.21)]),
        ("(cat:1.5)", [("cat", 1.5)]),
        ("((cat:1.5))", [("cat", 1.5)]),
        ("(a (b:1.5) c:0.5)", [("a ", 0.5), ("b", 1.5), (" c", 0.5)]),
        ("(a (b) c:0.5)", [("a ", 0.5), ("b", 0.55), (" c", 0.5)]),
        ("(a:b:2)", [("a:b", 2.0)]),
        ("(a: -1e-1 )", [("a", -0.1)]),
        ("(:2)", [(":2", 1.1)]),
        ("(a:x)", [("a:x", 1.1)]),
        ("a (b", [("a ", 1.0), ("(b", 1.0)]),
        ("a b) c", [("a b) c", 1.0)]),
        (r"\(a\) (b\)c:2)", [("(a) ", 1.0), ("b)c", 2.0)]),
        ("()", []),
    ],
)
def test_parentheses_weigh(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert pairs(prompt) == expected


def test_without_weights_parentheses_are_text() -> None:
    assert parse_prompt(r"a (b:2) \(c\)", use_weights=False) == [Piece("a (b:2) (c)", 1.0)]


def test_embeddings_begin_at_the_start_or_after_white_space() -> None:
    assert parse_prompt("embedding:a, b embedding:c\nembedding:d xembedding:e") == [
        Piece("a,", 1.0, is_embedding=True, after=" b"),
        Piece("c", 1.0, is_embedding=True),
        Piece("d", 1.0, is_embedding=True, after=" xembedding:e"),
    ]


def test_an_embedding_has_the_weight_of_its_place() -> None:
    assert parse_prompt("(x embedding:a:1.5)") == [
        Piece("x", 1.5),
        Piece("a", 1.5, is_embedding=True),
    ]
