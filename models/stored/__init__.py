"""Weights that are kept in fewer bits than they are computed in; see README.md of models."""

from models.stored.changed import WeightPatch, on_device
from models.stored.holding import AS_COMPUTED, Storage, merged, with_changes
from models.stored.tensor import StoredTensor, release, values_of

__all__ = [
    "AS_COMPUTED", "Storage", "StoredTensor", "WeightPatch", "merged", "on_device",
    "release", "values_of", "with_changes",
]  # fmt: skip
