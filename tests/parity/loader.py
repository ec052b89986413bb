"""Reads folders of golden cases: `<area>.json` (facts and one case a line) beside `<area>.npz`.

The folder is PARITY_ROOT, or tests/reference/parity; any folder of the same form will do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Case = dict[str, Any]

BUNDLED = Path(__file__).resolve().parents[1] / "reference" / "parity"


def root() -> Path:
    """The folder that cases are read from."""
    return Path(os.environ.get("PARITY_ROOT", BUNDLED))


def facts(area: str) -> dict[str, Any]:
    """What an area says about all its cases; empty if the folder lacks the area."""
    loaded: dict[str, Any] = _document(area)["facts"]
    return loaded


def cases(area: str) -> list[Case]:
    """The cases of an area with their arrays filled in; none if the folder lacks the area."""
    return list(_read(area))


def _read(area: str) -> Iterator[Case]:
    document = _document(area)
    if not document["cases"]:
        return
    with np.load(root() / f"{area}.npz") as arrays:
        for raw in document["cases"]:
            case: Case = _resolve(raw, arrays)
            if "file" in case:
                case["path"] = root() / case["file"]
            yield case


def difference(actual: ArrayLike, expected: NDArray[Any]) -> float:
    """The largest absolute difference, NaN matching NaN; infinite if shapes differ."""
    got = np.asarray(actual)
    if got.shape != expected.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        gap = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    gap = np.where(np.isnan(got) & np.isnan(expected), 0.0, gap)
    return float(np.max(np.where(np.isnan(gap), np.inf, gap), initial=0.0))


def compare(actual: ArrayLike, expected: NDArray[Any], case: Case) -> None:
    """AssertionError where actual is further from expected than the case's atol and rtol allow."""
    got = np.asarray(actual)
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    np.testing.assert_allclose(
        got.astype(np.float64),
        expected.astype(np.float64),
        atol=case.get("atol", 1e-5),
        rtol=case.get("rtol", 1e-5),
        equal_nan=True,
        err_msg=case["id"],
    )


def _document(area: str) -> dict[str, Any]:
    path = root() / f"{area}.json"
    if not path.exists():
        return {"facts": {}, "cases": []}
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _generate(spec: dict[str, Any]) -> NDArray[np.float32]:
    state = np.random.RandomState(spec["seed"])  # legacy streams never change
    draw = state.random_sample if spec["kind"] == "uniform" else state.standard_normal
    values = np.asarray(draw(tuple(spec["shape"])))
    scaled: NDArray[Any] = values * spec.get("scale", 1.0) + spec.get("offset", 0.0)
    return scaled.astype(np.float32)


def _resolve(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_resolve(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$npz" in value:
        array = arrays[value["$npz"]]
        return array.astype(np.float32) if array.dtype == np.float16 else array
    if "$rand" in value:
        return _generate(value["$rand"])
    if "$binary" in value:
        return (_generate(value["$binary"]) > 0.5).astype(np.float32)
    if "$values" in value:
        return np.array(value["$values"], dtype=np.float32)
    return {key: _resolve(item, arrays) for key, item in value.items()}
