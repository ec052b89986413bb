"""What node classes declare, as plain data; and what cleverer declarations mean.

Node packs declare types with strings that claim to equal others, tuples that have more items than
they show, and dicts that contain every key. Plain data cannot say that, so it is found out here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from operator import ne as differs  # packs override this one, and not always its counterpart
from typing import Any, Final

ALL: Final = "*"
_LEAST_INTEGER: Final = -(2**63)
_MOST_INTEGER: Final = 2**64 - 1  # that crosses to the server as an integer
_NO_NAME: Final = "\0darkroom"  # what nothing is called


def plain(value: Any) -> Any:
    """The value in JSON's types; raises TypeError for what has no such form."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, str):
        # Not `str(value)`, which a subclass may define; a lone surrogate is no text to be sent.
        return str.__str__(value).encode(errors="replace").decode()
    if isinstance(value, int):
        number = int(value)
        return number if _LEAST_INTEGER <= number <= _MOST_INTEGER else float(number)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # numpy's and torch's scalars
        return plain(value.item())
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | type):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _key(key: Any) -> str:
    text = plain(key)
    return text if isinstance(text, str) else str(text)


def equal_types(declared: Iterable[Any], known: Iterable[str] = ()) -> dict[str, list[str]]:
    """The types that strings of a class of their own claim to equal.

    Text -> names, `["*"]` for all; no names if there are none among those known.
    """
    found: dict[str, list[str]] = {}
    for kind in declared:
        if not isinstance(kind, str) or type(kind) is str or isinstance(kind, enum.Enum):
            continue
        text = str.__str__(kind)
        if not differs(kind, _NO_NAME):
            found[text] = [ALL]
        else:
            found[text] = [name for name in known if name != text and not differs(kind, name)]
    return found


def declared_types(types: Mapping[str, Any], returns: Iterable[Any]) -> Iterator[Any]:
    """All types that a class's inputs and outputs have."""
    for section in ("required", "optional"):
        for spec in (types.get(section) or {}).values():
            if isinstance(spec, list | tuple) and spec:
                yield spec[0]
    yield from returns


def further_output(returns: Any) -> Any:
    """The type of outputs beyond those listed, of a tuple that has an item for every index."""
    if type(returns) in (tuple, list):
        return None
    try:
        return plain(returns[len(returns)])
    except (IndexError, KeyError, TypeError):
        return None


def has_every_key(section: Any) -> bool:
    """Whether a dict of inputs contains whatever is asked for."""
    return type(section) is not dict and isinstance(section, dict) and _NO_NAME in section
