"""Which outputs fit which inputs."""

from __future__ import annotations

from typing import Any

import pytest

from executor.type_match import types_match


@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        ("IMAGE", "IMAGE"),
        ("*", "IMAGE"),
        ("IMAGE", "*"),
        ("IMAGE", "COMFY_MATCHTYPE_V3"),
        ("COMFY_MATCHTYPE_V3", "IMAGE"),
        (["a", "b"], "COMBO"),
        (["a", "b"], ["a", "b"]),
        (["a"], "*"),
        ("IMAGE,MASK", "MASK"),
        ("IMAGE", "MASK, IMAGE"),
        ("A,B", "B,C"),
        ("A,*", "X"),
        ("X", "A, *"),
    ],
)
def test_these_match(received: Any, wanted: Any) -> None:
    assert types_match(received, wanted)


@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        ("IMAGE", "MASK"),
        ("IMAGE", "image"),
        ("A,B", "C,D"),
        ("COMBO", ["a"]),
        (["a"], ["b"]),
        (["a"], "STRING"),
        ("STRING", ["a"]),
        ("MASKS", "MASK"),
    ],
)
def test_these_do_not(received: Any, wanted: Any) -> None:
    assert not types_match(received, wanted)
