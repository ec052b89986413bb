"""Versions of weights that take turns, so that going back to one computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from models.stored import WeightPatch

Changes = tuple[WeightPatch, ...]
Values = Sequence[tuple[str, Tensor]]  # (parameter, what it is) of a weight

VERSIONS: Final = 2  # of a weight, beside the one that is in the module


@dataclass(frozen=True, eq=False)
class _Version:
    changes: Changes
    values: Values

    @property
    def size(self) -> int:
        return sum(tensor.nbytes for _, tensor in self.values)


class KeptWeights:
    """Versions that were in a module lately, in at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0  # bytes
        self._versions: dict[str, list[_Version]] = {}  # weight name -> the latest last

    def keep(self, name: str, changes: Changes, values: Values) -> None:
        """Keep the version of a weight that leaves the module, if there is room for it."""
        versions = self._versions.setdefault(name, [])
        while len(versions) >= VERSIONS:
            self.held -= versions.pop(0).size
        version = _Version(changes, values)
        if self.held + version.size <= self.limit:
            versions.append(version)
            self.held += version.size

    def take(self, name: str, changes: Changes) -> Values | None:
        """The version of a weight with these changes, which goes back into the module."""
        for version in self._versions.get(name, ()):
            if version.changes == changes:
                self._versions[name].remove(version)
                self.held -= version.size
                return version.values
        return None

    def clear(self) -> None:
        """Give everything up: the module is to have weights of another type, or elsewhere."""
        self.held = 0
        self._versions = {}
