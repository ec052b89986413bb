"""The published front ends that these tests drive. `python -m tests.browser.front_ends` fetches
them into the virtual environment's folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# The one that ComfyUI 0.8.0 asks for, and the newest when this was written.
VERSIONS: Final = ("1.35.9", "1.58.1")
DATA: Final = ("comfyui-workflow-templates-json==0.1.123", "comfyui-embedded-docs==0.5.15")

_FOLDER: Final = Path(sys.prefix) / "front_ends"
DATA_FOLDER: Final = _FOLDER / "data"


def folder(version: str) -> Path:
    """Where the package of that version is, or will be."""
    return _FOLDER / version


def is_fetched(version: str) -> bool:
    return folder(version).is_dir() and DATA_FOLDER.is_dir()


def fetch() -> None:
    """Fetch what is missing: files only, nothing of it is run."""
    for version in VERSIONS:
        _install([f"comfyui-frontend-package=={version}"], folder(version))
    _install(DATA, DATA_FOLDER)


def _install(packages: Iterable[str], target: Path) -> None:
    if target.is_dir():
        return
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--target", str(part), *packages]
    subprocess.run(command, check=True)
    part.rename(target)


if __name__ == "__main__":
    fetch()
