"""Old files are deleted while the server runs; records stay, and so does what jobs need."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from tests.client import wait_until
from tests.faults.conftest import Servers, fault, submit_and_wait_for_start

HOUR = 3600


def make_old(folder: Path, hours: float = 1) -> None:
    """As if the files had been there for so long, the last in the alphabet longest."""
    for number, path in enumerate(sorted(folder.rglob("*"))):
        at = path.stat().st_mtime - hours * HOUR - number
        os.utime(path, (at, at))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG")
    return buffer.getvalue()


def loading(name: str) -> dict[str, Any]:
    """Saves an uploaded picture."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": f"kept/{name}"},
        },
    }


def test_old_files_make_room_and_what_jobs_name_stays(servers: Servers) -> None:
    server = servers(output_max_files=2, input_max_size=0.000001, interrupt_grace=0.2)
    client = server.client
    uploads, output = server.base / "input", server.base / "output"
    for name in ("a.png", "b.png", "c.png", "d.png"):
        assert client.upload("/upload/image", name, picture()).status == 200
    entries = [client.run(loading(name)) for name in ("a.png", "b.png", "c.png")]
    (output / "models").mkdir()
    (output / "models" / "link.png").symlink_to(uploads / "d.png")
    make_old(uploads)
    make_old(output)
    # Jobs wait for this one; they name uploads in two ways.
    submit_and_wait_for_start(server, "sleep", prompt_id="first")
    waiting = [client.submit(loading(name)) for name in ("b.png", "d.png [input]")]
    wait_until(lambda: names(uploads) == ["b.png", "d.png"], what="uploads that nobody needs go")
    wait_until(lambda: len(names(output / "kept")) == 2, what="old results go")

    left = [client.history(entry["prompt"][1]) for entry in entries]
    assert left == entries  # the records stay
    saved = [entry["outputs"]["2"]["images"][0] for entry in entries]
    assert [client.get("/view", **item).status for item in saved].count(404) == 1
    assert names(output / "models") == ["link.png"]
    client.post("/api/jobs/first/cancel")
    assert [client.wait(x)["status"]["status_str"] for x in waiting] == ["success"] * 2


def test_empty_folders_go_and_nothing_does_without_a_limit(servers: Servers) -> None:
    server = servers(output_max_days=0.01)
    client = server.client
    client.upload("/upload/image", "a.png", picture())
    client.run(loading("a.png"))
    (server.base / "temp" / "old.png").write_bytes(picture())
    for folder in (server.base / "input", server.base / "temp", server.base / "output"):
        make_old(folder, hours=100_000)
    client.run(fault("nothing"))  # folders are looked into when jobs have changed
    wait_until(lambda: not list((server.base / "output").rglob("*.png")), what="old results go")
    make_old(server.base / "output")
    client.run(fault("nothing"))
    wait_until(lambda: names(server.base / "output") == [], what="empty folders go")
    assert names(server.base / "input") == ["a.png"]
    assert names(server.base / "temp") == ["old.png"]
