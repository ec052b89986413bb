"""Reads the model parity cases: a prompt in API format, and the outputs its nodes must have.

The folder is PARITY_MODELS_ROOT, or tests/reference/parity_models.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.parity.checkpoints import REFERENCE


@dataclass(frozen=True)
class Expected:
    """What one output of one node must be."""

    node: str
    slot: int
    kind: str  # latent, image or conditioning
    array: str
    limit: float  # of the relative L2 distance


@dataclass(frozen=True)
class ModelCase:
    """One workflow with its results."""

    name: str
    prompt: dict[str, dict[str, Any]]
    expected: tuple[Expected, ...]
    arrays: dict[str, NDArray[Any]]

    @property
    def classes(self) -> set[str]:
        """The node classes of the prompt."""
        return {node["class_type"] for node in self.prompt.values()}


def root() -> Path:
    """The folder that cases are read from."""
    return Path(os.environ.get("PARITY_MODELS_ROOT", REFERENCE))


def names(family: str) -> list[str]:
    """The names of all cases of a family."""
    return sorted(path.stem for path in (root() / "cases").glob(f"{family}_*.json"))


def read(name: str) -> ModelCase:
    """One case with its arrays."""
    path = root() / "cases" / f"{name}.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    expected = tuple(
        Expected(item["node"], item["slot"], item["kind"], item["array"], item["rel_l2"])
        for item in document["expect"]
    )
    return ModelCase(name, document["prompt"], expected, arrays(path.with_suffix(".npz")))


def component(name: str) -> dict[str, NDArray[Any]]:
    """Arrays of a part without a graph; empty if the folder has none of that name."""
    path = root() / "components" / f"{name}.npz"
    return arrays(path) if path.exists() else {}


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file."""
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def input_file(name: str) -> Path:
    """An input image, mask or latent."""
    return root() / "inputs" / name


def relative_distance(actual: ArrayLike, expected: NDArray[Any]) -> float:
    """||actual - expected|| / ||expected||; infinite if shapes differ."""
    got, want = np.asarray(actual, np.float64), expected.astype(np.float64)
    if got.shape != want.shape:
        return float("inf")
    return float(np.linalg.norm(got - want) / max(float(np.linalg.norm(want)), 1e-12))
