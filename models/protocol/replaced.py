"""Functions of ours that packs may put functions of theirs in place of.

Packs know them by names in modules of the host, and assign to these. The host's modules say here
where they show what; a run then calls what is there by now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Place:
    owner: Any  # a module or a class
    name: str
    original: Any

    @property
    def now(self) -> Any:
        """What is there now."""
        return getattr(self.owner, self.name)


_places: dict[str, _Place] = {}


def show(owner: Any, *names: str) -> None:
    """Say that packs find things of ours under these names of a module or class."""
    for name in names:
        place = _Place(owner, name, getattr(owner, name))
        _places.setdefault(f"{owner.__name__}.{name}", place)


def current(full_name: str, ours: Any) -> Any:
    """What packs have put in the place of `ours`, or that itself."""
    place = _places.get(full_name)
    return ours if place is None or place.now is place.original else place.now


def is_any_replaced() -> bool:
    """Whether a pack has put something in a place."""
    return any(place.now is not place.original for place in _places.values())
