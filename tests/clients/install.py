"""The published clients that these tests drive. `python -m tests.clients.install` fetches them
into the virtual environment's folder, apart from Darkroom's own libraries.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_FOLDER: Final = Path(sys.prefix) / "clients"
_LIMIT_S: Final = 540  # for one package manager; a minute is usual

PYTHON_FOLDER: Final = _FOLDER / "python"
PYTHON: Final = PYTHON_FOLDER / "bin" / "python"
JAVASCRIPT_FOLDER: Final = _FOLDER / "javascript"
NODE: Final = shutil.which("node")
_NPM: Final = shutil.which("npm")


class CannotFetch(Exception):
    """The clients cannot be had here."""


def fetch_python() -> None:
    """Bring the Python clients into an environment of their own: their pins clash with ours."""
    wanted = _HERE / "requirements.txt"
    with _renewing(PYTHON_FOLDER, wanted) as is_needed:
        if is_needed:
            venv.create(PYTHON_FOLDER, with_pip=False)
            command = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install"]
            command += ["--quiet", "--no-compile", "--disable-pip-version-check", "--no-input"]
            _run([*command, "--retries", "1", "--requirement", str(wanted)])


def fetch_javascript() -> None:
    """Bring the JavaScript clients; no script of a package is run."""
    if NODE is None or _NPM is None:
        raise CannotFetch("there is no Node: apt-get install nodejs npm")
    wanted = _HERE / "package.json"
    with _renewing(JAVASCRIPT_FOLDER, wanted) as is_needed:
        if is_needed:
            JAVASCRIPT_FOLDER.mkdir()
            shutil.copy(wanted, JAVASCRIPT_FOLDER)
            command = [_NPM, "install", "--prefix", str(JAVASCRIPT_FOLDER), "--ignore-scripts"]
            _run([*command, "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"])


@contextmanager
def _renewing(folder: Path, wanted: Path) -> Iterator[bool]:
    """Whether the folder must be made; one process at a time. Made once for a list of packages."""
    _FOLDER.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / "installed"
        is_needed = not stamp.is_file() or stamp.read_text("utf-8") != wanted.read_text("utf-8")
        if is_needed:
            shutil.rmtree(folder, ignore_errors=True)
        yield is_needed
        shutil.copy(wanted, stamp)


def _run(command: Sequence[str]) -> None:
    """Raises CannotFetch with the last line that the package manager said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise CannotFetch(f"{command[0]} took more than {_LIMIT_S} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise CannotFetch(f"fetching the clients failed: {said[-1]}")


if __name__ == "__main__":
    fetch_python()
    fetch_javascript()
