"""What loading all nodes imports: libraries that take long come when they are first needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = frozenset(
    {
        "av",
        "cv2",
        "diffusers",
        "kornia",
        "scipy",
        "sklearn",
        "spandrel",
        "sympy",
        "torchsde",
        "torchvision",
    }
    | {"torch._dynamo", "transformers"}
)


def imported_by(module: str) -> set[str]:
    """The modules that are there after an import in a process of its own."""
    code = f"import {module}, json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_heavy_libraries_are_not_imported_with_the_nodes() -> None:
    modules = imported_by("nodes.registry")
    assert "nodes.sampling" in modules
    assert modules & HEAVY == set()


def test_a_worker_starts_without_heavy_libraries() -> None:
    modules = imported_by("executor.worker.loading")
    assert "executor.worker.engine" in modules
    assert modules & HEAVY == set()
