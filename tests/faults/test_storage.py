"""No room, or a locked database: nothing is accepted that cannot be kept, nothing is lost."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.client import Client
from tests.faults.conftest import (
    Servers,
    assert_works,
    fault,
    saving_graph,
    submit_and_wait_for_start,
)


@contextmanager
def no_room(process_id: int) -> Iterator[None]:
    """No file of the process can grow."""
    limit = resource.RLIMIT_FSIZE
    before = resource.prlimit(process_id, limit)
    resource.prlimit(process_id, limit, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process_id, limit, before)


@contextmanager
def locked(base: Path) -> Iterator[None]:
    """Another program holds the job database."""
    path = base / "user" / "darkroom.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize(
    "cause", ["the disk is full", pytest.param("the database is locked", marks=pytest.mark.slow)]
)
def test_without_room_for_jobs_none_is_accepted_and_none_is_lost(
    servers: Servers, cause: str
) -> None:
    server = servers(interrupt_grace=0.2)
    client = server.client
    done = client.submit(fault("nothing"))
    entry = client.wait(done)
    running = submit_and_wait_for_start(server, "sleep")
    waiting = client.submit(fault("nothing"))
    is_full = cause == "the disk is full"
    with no_room(server.process.pid) if is_full else locked(server.base):
        refused = client.post("/prompt", {"prompt": fault("nothing"), "prompt_id": "refused"})
        assert refused.status == 503
        assert refused.json()["error"]["type"] == "storage_unavailable"
        cancelled = client.post("/queue", {"delete": [waiting]})
        assert cancelled.status == 503
        # The end of a job cannot be recorded now.
        client.post("/interrupt", {"prompt_id": running})
        for path in ("/queue", "/history", "/prompt", "/system_stats", "/api/jobs"):
            assert client.get(path).status == 200
        assert client.history(done) == entry
    assert client.wait(running)["status"]["messages"][-1][0] == "execution_interrupted"
    assert client.wait(waiting)["status"]["status_str"] == "success"
    assert client.history("refused") is None
    assert client.get("/api/jobs/refused").status == 404
    assert_works(client)
    server.process.kill()
    server.process.wait()
    assert list(servers().client.get("/history").json())[:3] == [done, running, waiting]


def error_text(client: Client, prompt_id: str) -> str:
    text: str = client.wait(prompt_id)["status"]["messages"][-1][1]["exception_message"]
    return text


def test_without_room_for_pictures_the_prompt_fails_and_leaves_no_half_file(
    servers: Servers,
) -> None:
    server = servers()
    client = server.client
    worker = assert_works(client)
    with no_room(worker):
        assert "File too large" in error_text(client, client.submit(saving_graph()))
    assert list((server.base / "output").iterdir()) == []
    client.run(saving_graph())
    assert len(list((server.base / "output").iterdir())) == 1


@pytest.mark.slow
def test_an_output_folder_that_cannot_be_written_fails_the_prompt_only(servers: Servers) -> None:
    server = servers()
    client = server.client
    worker = assert_works(client)
    output = server.base / "output"
    output.rmdir()
    output.touch()  # in place of a read-only folder, which an administrator can write into
    assert str(output) in error_text(client, client.submit(saving_graph()))
    output.unlink()
    output.mkdir()
    client.run(saving_graph())
    assert assert_works(client) == worker


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing can be written to the folder, or to what is below it."""
    if os.geteuid() != 0:
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        yield
        for path, mode in modes.items():
            path.chmod(mode)
        return
    # An administrator can write whatever the modes say, but not into what is mounted read-only.
    for options in (["--bind", str(folder)], ["-o", "remount,ro,bind"]):
        mounted = subprocess.run(["mount", *options, str(folder)], check=False, capture_output=True)
        if mounted.returncode != 0:
            pytest.skip("an administrator can write everywhere, and may not mount here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_read_only_output_folder_fails_the_prompt_only(servers: Servers) -> None:
    server = servers()
    client = server.client
    worker = assert_works(client)
    output = server.base / "output"
    with read_only(output):
        reason = error_text(client, client.submit(saving_graph()))
        assert "Read-only file system" in reason or "Permission denied" in reason
        refused = client.upload("/upload/image", "a.txt", b"text", type="output")
        assert refused.status == 400
        assert "a.txt" in refused.json()["error"]["message"]
        assert assert_works(client) == worker
    assert list(output.iterdir()) == []
    client.run(saving_graph())
    assert assert_works(client) == worker


@pytest.mark.slow
def test_a_read_only_base_folder_ends_the_start_with_a_reason(servers: Servers) -> None:
    assert_works(servers().client)
    base = servers.started[0].base
    servers.started[0].stop()
    with (
        read_only(base),
        pytest.raises(AssertionError, match=r"Read-only file system|Permission denied") as ended,
    ):
        _start_and_wait(servers)
    assert "Traceback" not in str(ended.value)
    assert_works(servers().client)


def test_a_damaged_database_ends_the_start_with_a_reason(servers: Servers) -> None:
    server = servers()
    assert_works(server.client)
    server.stop()
    database = server.base / "user" / "darkroom.db"
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(AssertionError, match="file is not a database"):
        _start_and_wait(servers)
    assert database.read_bytes() == b"no database" * 1000


def _start_and_wait(servers: Servers) -> None:
    server = servers()
    server.process.wait(60)
    server.reader.join(10)
    raise AssertionError("\n".join(server.log))
