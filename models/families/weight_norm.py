"""Weights that are a direction and a length each (Salimans and Kingma 2016, arXiv 1602.07868).

diffusers builds networks of sounds with torch's first way to do this, which warns of its end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

DIRECTION: Final = "weight_v"
# Since torch 2.0 parametrizations have numbers.
_NEWER: Final = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": DIRECTION,
}


def older_name(name: str) -> str:
    """The name that a tensor had before torch 2.0; others stay as they are."""
    for newer, older in _NEWER.items():
        name = name.replace(newer, older)
    return name


def newer_name(name: str) -> str:
    """The name that a tensor has since torch 2.0; others stay as they are."""
    for newer, older in _NEWER.items():
        if name.endswith(older):
            return name.removesuffix(older) + newer
    return name


def quietly(made: Callable[..., T], **options: object) -> T:
    """What `made` makes of the options, without the warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weight_norm", category=FutureWarning)
        return made(**options)
