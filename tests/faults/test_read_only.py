"""A server whose root, models and node packs are mounted read-only, as in a hardened container."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, start_server
from tests.faults.conftest import assert_works, install

# Everything is read-only but these folders, in a mount namespace of the server's own.
MOUNT = """
set -e
base=$1; shift
mount --make-rprivate /
mount --bind "$base" "$base"
for name in input output user tmp; do mount --bind "$base/$name" "$base/$name"; done
mount -o remount,bind,ro "$base"
mount -o remount,bind,ro /
exec "$@"
"""
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        [*NAMESPACE, "mount", "-o", "remount,bind,ro", "/"], capture_output=True, check=False
    )
    return tried.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs mount namespaces")
def test_a_server_works_where_only_its_results_can_be_written(tmp_path: Path) -> None:
    base = install(tmp_path)
    for name in ("input", "output", "user", "tmp", "models"):
        (base / name).mkdir()
    before = sorted(base.glob("models/**")), sorted(base.glob("custom_nodes/**"))
    server = start_server(
        base,
        *("--temp-directory", str(base / "tmp")),
        environ={"HOME": "/nonexistent", "TMPDIR": str(base / "tmp")},
        launcher=[*NAMESPACE, "bash", "-c", MOUNT, "bash", str(base)],
    )
    try:
        client = server.client
        with pytest.raises(OSError, match="Read-only"):
            write_as(server.process.pid, base / "models" / "x")
        assert_works(client)
        (picture,) = client.images(client.run(drawing()))
        assert client.upload("/upload/image", "x.png", picture).status == 200
    finally:
        server.stop()
    assert len(list((base / "output").iterdir())) == 1
    assert not [line for line in server.log if "ERROR" in line]
    assert before == (sorted(base.glob("models/**")), sorted(base.glob("custom_nodes/**")))


def write_as(process_id: int, file: Path) -> None:
    """Write a file with the mounts that a process sees."""
    (Path(f"/proc/{process_id}/root") / file.relative_to("/")).write_bytes(b"x")


def drawing() -> dict[str, Any]:
    """A picture by the bundled model, in one step: all libraries are used."""
    graph: dict[str, Any] = json.loads((ROOT / "examples" / "text_to_image.json").read_text())
    for node in graph.values():
        if node["class_type"] == "KSampler":
            node["inputs"]["steps"] = 1
    return graph
