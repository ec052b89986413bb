"""What is done before every evaluation of a model, within the steps of a sampler too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

before_each_call: Final[list[Callable[[], None]]] = []
"""Called in turn; each may raise to end the run. Who runs models fills it once."""


def about_to_call() -> None:
    """Do it."""
    for check in before_each_call:
        check()
