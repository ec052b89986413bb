"""What the README tells people to type works, and what it says the server can do is so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.catalogue import lines
from nodes.registry import NODE_CLASSES
from tests.client import Client

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CURL = re.findall(r"^ {4}(curl .+)$", README, re.MULTILINE)


def test_the_readme_shows_how_to_submit() -> None:
    assert any("/prompt" in command for command in CURL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", CURL)
def test_the_curl_commands_work(command: str, server: Client) -> None:
    here = command.replace("http://127.0.0.1:8188", server.address)
    assert here != command
    done = subprocess.run(
        ["bash", "-c", here], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    answer = json.loads(done.stdout)
    if "/prompt" in command:
        assert answer["node_errors"] == {}
        assert server.wait(answer["prompt_id"], deadline_s=300)["status"]["completed"]


def test_the_page_of_nodes_names_every_node_and_says_what_it_says() -> None:
    page = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8").split("\n")
    missing = [line for line in "\n".join(lines()).split("\n") if line not in page]
    assert missing == [], "run: python -m nodes.catalogue > docs/nodes.md"
    described = {line.split("`")[1] for line in page if line.startswith("- `")}
    assert described == set(NODE_CLASSES)


@pytest.mark.parametrize("command", [["--help"], ["serve", "--help"], ["demo", "--help"]])
def test_the_commands_explain_themselves(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("usage: darkroom")
