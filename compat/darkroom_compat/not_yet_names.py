"""`__getattr__` for modules that have names without a working part behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from comfy.not_yet import missing_class, missing_function


def missing_names(
    module: str, *, classes: Iterable[str] = (), functions: Iterable[str] = ()
) -> Callable[[str], Any]:
    """Names that import and raise `NotYetSupported` in use; other names are not there at all."""
    makers = {
        **dict.fromkeys(classes, missing_class),
        **dict.fromkeys(functions, missing_function),
    }
    made: dict[str, Any] = {}

    def find(name: str) -> Any:
        if name not in makers:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        if name not in made:
            made[name] = makers[name](f"{module}.{name}")
        return made[name]

    return find
