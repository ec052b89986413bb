"""`darkroom demo` as a process: the newcomer's first picture."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
DEADLINE_S = 400.0
STOP_S = 30.0


def demo_command(base: Path, *flags: str) -> list[str]:
    command = [sys.executable, "-m", "server", "demo", "--port", "0", "--cpu"]
    return [*command, "--base-directory", str(base), *flags]


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("DARKROOM_")}


def demo_once(base: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        demo_command(base, "--once", *flags),
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture
def running_demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that goes on serving."""
    with subprocess.Popen(
        demo_command(tmp_path / "base"),
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.terminate()


def test_once_draws_a_picture_says_where_it_is_and_ends(tmp_path: Path) -> None:
    done = demo_once(tmp_path / "base", "--text", "a green heart on a white background")
    assert done.returncode == 0, done.stdout
    (picture,) = (tmp_path / "base/output").glob("*.png")
    assert str(picture) in done.stdout
    with Image.open(picture) as image:
        assert image.size == (128, 128)
        assert "a green heart on a white background" in image.text["prompt"]  # type: ignore[attr-defined]


def test_it_goes_on_serving_until_it_is_interrupted(running_demo: subprocess.Popen[str]) -> None:
    assert running_demo.stdout is not None
    address = ""
    for line in running_demo.stdout:
        if found := re.search(r"API +(http://\S+)", line):
            address = found[1]
        if line.startswith("Serving"):
            break
    with urllib.request.urlopen(f"{address}/system_stats", timeout=STOP_S) as answer:
        assert answer.status == 200
    running_demo.send_signal(signal.SIGINT)
    rest, _ = running_demo.communicate(timeout=STOP_S)
    assert running_demo.returncode == 0, rest
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/system_stats", timeout=STOP_S)


def test_a_server_that_cannot_start_fails_the_demo_and_shows_its_log(tmp_path: Path) -> None:
    done = demo_once(tmp_path / "base", "--database-url", "nonsense://nowhere")
    assert done.returncode == 1
    assert "the server ended with status" in done.stdout
    assert "nonsense" in done.stdout
