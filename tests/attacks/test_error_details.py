"""What errors of a real server tell about the machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import ROOT, ServerProcess, start_server

PACK = """
class Fails:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"path": ("STRING", {})}}

    def run(self, path):
        return open(path)


class FailsToCheck(Fails):
    @classmethod
    def VALIDATE_INPUTS(cls, path):
        return open(path)


NODE_CLASS_MAPPINGS = {"Fails": Fails, "FailsToCheck": FailsToCheck}
"""


def with_pack(base: Path) -> Path:
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "failing.py").write_text(PACK)
    return base


@pytest.fixture(scope="module")
def discreet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that others can reach."""
    base = with_pack(tmp_path_factory.mktemp("discreet"))
    server = start_server(base, "--listen", "0.0.0.0", "--allow-anonymous")
    server.address = server.address.replace("0.0.0.0", "127.0.0.1")
    yield server
    server.stop()


def failures(client: Client, base: Path) -> list[str]:
    """Errors of many kinds, as clients get them."""
    texts = []
    missing = str(base / "no such folder" / "file.txt")
    with client.listen() as listener:
        prompt_id = client.submit({"1": {"class_type": "Fails", "inputs": {"path": missing}}})
        texts.append(json.dumps(listener.wait_for("execution_error", prompt_id)))
        texts.append(json.dumps(client.wait(prompt_id)["status"]))
        texts.append(json.dumps(client.get(f"/api/jobs/{prompt_id}").json()["execution_error"]))
    checked = {"1": {"class_type": "FailsToCheck", "inputs": {"path": missing}}}
    texts.append(client.post("/prompt", {"prompt": checked}).body.decode())
    client.upload("/upload/image", "no.png", b"no picture")
    texts.append(client.get("/view?filename=no.png&type=input&preview=webp").body.decode())
    return [text.replace(json.dumps(missing)[1:-1], "<given>") for text in texts]


def test_errors_tell_others_neither_paths_nor_tracebacks(discreet: ServerProcess) -> None:
    texts = failures(discreet.client, discreet.base)
    for text in texts:
        assert str(discreet.base) not in text
        assert str(ROOT) not in text
        assert "failing.py" not in text
        assert "line " not in text
    error = json.loads(texts[0])
    assert (error["exception_type"], error["traceback"]) == ("FileNotFoundError", [])
    assert "file.txt" in error["exception_message"]
    assert set(error) >= {"node_id", "node_type", "executed", "current_inputs", "current_outputs"}
    discreet.wait_for_log("in run")  # the owner reads it all


def traceback_of(server: ServerProcess) -> list[Any]:
    error = json.loads(failures(server.client, server.base)[0])
    lines: list[Any] = error["traceback"]
    return lines


@pytest.mark.parametrize(
    ("flags", "tells"),
    [([], True), (["--error-details", "never"], False), (["--error-details", "always"], True)],
)
def test_a_flag_says_what_errors_tell(
    new_server: Callable[..., ServerProcess], tmp_path: Path, flags: list[str], tells: bool
) -> None:
    base = tmp_path / "chosen"
    base.mkdir()
    lines = traceback_of(new_server(*flags, base=with_pack(base)))
    assert any("failing.py" in line for line in lines) is tells
