"""The text of a fragment shader as far as it says how it is to be run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MOST_TARGETS: Final = 4
MOST_PASSES: Final = 1000

_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_VERSION: Final = re.compile(r"\s*#\s*version\s+300\s+es\b")
_PASSES: Final = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+passes[ \t]+(\S+)", re.MULTILINE)
_LESS: Final = re.compile(r"\b(?:lowp|mediump)\b")
_SAMPLER: Final = re.compile(r"(?<!\bhighp\s)\bsampler2D\b")
_OUTPUT: Final = re.compile(
    r"(?:layout\s*\(\s*location\s*=\s*(?P<place>\w+)\s*\)\s*)?"
    r"\bout\s+(?:(?:lowp|mediump|highp)\s+)?\w+\s+\w+\s*;"
)


@dataclass(frozen=True, kw_only=True)
class ShaderSource:
    """One fragment shader."""

    text: str  # GLSL ES 3.00, to be computed with 32 bits everywhere
    passes: int  # how often it is run; each run after the first reads what the one before wrote
    targets: frozenset[int]  # the outputs it writes


def read_shader(text: str) -> ShaderSource:
    """What a text declares. Raises ValueError for another language, passes or outputs beyond any.

    An output without a location is the first.
    """
    bare = _COMMENT.sub(" ", text)
    if not _VERSION.match(bare):
        raise ValueError("the shader is to begin with the line '#version 300 es' (GLSL ES 3.00)")
    targets = {_target(match["place"]) for match in _OUTPUT.finditer(bare)}
    if not targets:
        raise ValueError("the shader declares no output, as in 'out vec4 fragColor0;'")
    return ShaderSource(text=_precise(text), passes=_passes(bare), targets=frozenset(targets))


def _precise(text: str) -> str:
    """A shader with the same lines in which nothing has less than 32 bits.

    Browsers on desktops never compute with less; Mesa takes 16 bits where a shader allows it, which
    samplers do by themselves.
    """
    text = _LESS.sub("highp", text)
    return _SAMPLER.sub("highp sampler2D", text)


def _target(place: str | None) -> int:
    if place is None:
        return 0
    if not place.isdecimal() or int(place) >= MOST_TARGETS:
        raise ValueError(f"an output's location is 0 to {MOST_TARGETS - 1}, not {place}")
    return int(place)


def _passes(bare: str) -> int:
    said = _PASSES.search(bare)
    if said is None:
        return 1
    if not said[1].isdecimal() or not 1 <= int(said[1]) <= MOST_PASSES:
        raise ValueError(f"'#pragma passes' takes 1 to {MOST_PASSES}, not {said[1]}")
    return int(said[1])
