"""Takes names of other keys' uploads out of what the errors of a graph tell.

Classes whose choices are files list them in errors, those of packs also in the types of inputs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any


def without_names(value: Any, hidden: Collection[str]) -> Any:
    """Plain data without these names: in lists, and in texts that show lists."""
    if not hidden:
        return value
    shown = "|".join(re.escape(repr(name)) for name in hidden)
    return _without(value, frozenset(hidden), re.compile(rf"(?:{shown})(?:, )?"))


def _without(value: Any, hidden: frozenset[str], shown: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return shown.sub("", value).replace(", ]", "]") if "[" in value else value
    if isinstance(value, list | tuple):
        kept = (item for item in value if not (isinstance(item, str) and item in hidden))
        return [_without(item, hidden, shown) for item in kept]
    if isinstance(value, dict):
        return {key: _without(item, hidden, shown) for key, item in value.items()}
    return value
