"""A disk that is really full, with the database, the outputs and all else of a server on it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import Client
from tests.conftest import ServerProcess, start_server
from tests.faults.conftest import assert_works, fault, install, saving_graph, status_of
from tests.faults.test_read_only import NAMESPACE, can_mount

END_OF_PNG = b"IEND\xaeB`\x82"
# A small disk in place of the base folder, in a mount namespace of the server's own.
MOUNT = """
set -e
base=$1; shift
cp -r "$base/custom_nodes" /tmp/packs.$$
mount --make-rprivate /
mount -t tmpfs -o size=12m tmpfs "$base"
mv /tmp/packs.$$ "$base/custom_nodes"
cd "$base"
exec "$@"
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[ServerProcess]:
    if not can_mount():
        pytest.skip("needs mount namespaces")
    base = install(tmp_path)
    launcher = [*NAMESPACE, "bash", "-c", MOUNT, "bash", str(base)]
    server = start_server(base, launcher=launcher, environ={"DARKROOM_INTERRUPT_GRACE": "1"})
    yield server
    server.stop()


def seen_by(server: ServerProcess) -> Path:
    """The base folder with the mounts that the server has."""
    return Path(f"/proc/{server.process.pid}/root") / server.base.relative_to("/")


def fill(file: Path) -> None:
    """Write until there is no room for a byte more."""
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


def submit_until_refused(client: Client) -> list[str]:
    """Prompts that were accepted: the log of the database may have some room of its own."""
    accepted: list[str] = []
    while True:
        prompt_id = f"on a full disk {len(accepted)}"
        body = {"prompt": fault("nothing"), "prompt_id": prompt_id}
        reply = client.post("/prompt", body | {"extra_data": {"note": "x" * 100_000}})
        if reply.status != 200:
            assert reply.status == 503
            assert reply.json()["error"]["type"] == "storage_unavailable"
            assert client.get(f"/api/jobs/{prompt_id.replace(' ', '%20')}").status == 404
            return accepted
        accepted.append(prompt_id)
        assert len(accepted) < 100


def test_a_full_disk_costs_no_prompt_that_was_accepted(small: ServerProcess) -> None:
    client = small.client
    worker = assert_works(client)
    done = client.submit(saving_graph())
    entry = client.wait(done)
    running = client.submit(fault("wait"))
    saving = client.submit(saving_graph())
    seen = seen_by(small)
    filler = seen / "filler"
    fill(filler)
    accepted = submit_until_refused(client)
    assert client.upload("/upload/image", "x.png", b"x" * 5000).status >= 400
    for path in ("/queue", "/history", "/prompt", "/system_stats", "/api/jobs"):
        assert client.get(path).status == 200
    assert client.history(done) == entry
    client.post("/interrupt", {"prompt_id": running})
    assert client.get("/prompt").json()["exec_info"]["queue_remaining"] >= 1

    filler.unlink()
    assert client.wait(running)["status"]["messages"][-1][0] == "execution_interrupted"
    client.wait(saving)
    assert status_of(client, saving) in ("completed", "failed")
    for prompt_id in accepted:
        assert client.wait(prompt_id)["status"]["status_str"] == "success"
    assert client.upload("/upload/image", "x.png", b"x" * 5000).status == 200
    outputs = client.images(client.run(saving_graph()))
    assert outputs[0].startswith(b"\x89PNG")
    assert assert_works(client) == worker
    for file in (seen / "output").rglob("*"):
        assert file.read_bytes().endswith(END_OF_PNG), file
