"""The job database is deleted, replaced or damaged while the server runs."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, Reply, wait_until
from tests.conftest import ServerProcess
from tests.faults.conftest import (
    Servers,
    assert_works,
    fault,
    status_of,
    submit_and_wait_for_start,
)

LISTS = ("/history", "/history?max_items=5", "/queue", "/api/jobs", "/prompt", "/system_stats")


def database_of(server: ServerProcess) -> Path:
    return server.base / "user" / "darkroom.db"


def delete(*suffixes: str) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        for suffix in suffixes:
            path.with_name(path.name + suffix).unlink()

    return do


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("create table jobs (sequence integer)")
    other.rename(path)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(delete(""), id="database", marks=pytest.mark.slow),
        pytest.param(delete("-wal"), id="log", marks=pytest.mark.slow),
        pytest.param(delete("", "-wal", "-shm"), id="all"),
        pytest.param(replace, id="replaced", marks=pytest.mark.slow),
    ],
)
def test_a_database_that_is_taken_away_is_written_anew(
    servers: Servers, harm: Callable[[Path], None]
) -> None:
    first = servers()
    client = first.client
    done = client.submit(fault("nothing"))
    entry = client.wait(done)
    running = submit_and_wait_for_start(first, "sleep")
    waiting = client.submit(fault("nothing"))
    harm(database_of(first))
    accepted = client.submit(fault("nothing"))
    first.process.kill()
    first.process.wait()

    client = servers().client
    assert client.history(done) == entry
    client.post(f"/api/jobs/{running}/cancel")
    assert [client.wait(x)["status"]["status_str"] for x in (waiting, accepted)] == ["success"] * 2
    aside = list((first.base / "user").glob("darkroom.db.replaced-*"))
    assert len(aside) == (1 if harm is replace else 0)


def is_kept_or_refused(client: Client, reply: Reply) -> bool:
    """Whether a prompt was accepted; then there is a record of it."""
    if reply.status == 503:
        assert reply.json()["error"]["type"] == "storage_unavailable"
        return False
    assert reply.status == 200
    status = client.get(f"/api/jobs/{reply.json()['prompt_id']}")
    assert status.status == 200
    return True


@pytest.mark.slow
def test_a_database_that_is_cut_short_refuses_prompts_until_it_is_whole(servers: Servers) -> None:
    server = servers()
    client = server.client
    done = [client.submit(fault("nothing")) for _ in range(20)]
    for prompt_id in done:
        client.wait(prompt_id)
    path = database_of(server)
    with closing(sqlite3.connect(path)) as other:
        other.execute("pragma wal_checkpoint(truncate)")
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(len(whole) // 2)
    refused = client.post("/prompt", {"prompt": fault("nothing"), "prompt_id": "refused"})
    assert not is_kept_or_refused(client, refused)
    assert refused.json()["error"]["details"]
    assert client.get("/system_stats").status == 200
    with path.open("r+b") as file:
        file.write(whole)
    assert_works(client)
    assert [client.history(x) is not None for x in done] == [True] * len(done)
    assert client.history("refused") is None


@pytest.mark.slow
def test_bytes_that_are_overwritten_cost_the_records_that_they_were_of(servers: Servers) -> None:
    server = servers()
    client = server.client
    text = "some text that stays in one piece " * 1000
    done = [
        client.submit(fault("nothing"), extra_data={"note": f"{number} {text}"})
        for number in range(20)
    ]
    entries = {prompt_id: client.wait(prompt_id) for prompt_id in done}
    path = database_of(server)
    with closing(sqlite3.connect(path)) as other:
        other.execute("pragma wal_checkpoint(truncate)")
    content = path.read_bytes()
    # Pages in which there is nothing but a part of a text: the tree of pages stays whole.
    pages = [
        at
        for at in range(0, len(content), 4096)
        if content[at + 4 : at + 4096].count(b"piece") > 100
    ]
    with path.open("r+b") as file:
        for at in pages[len(pages) // 4 : len(pages) // 2]:
            file.seek(at)
            file.write(b"\xff" * 4096)
    # A server that starts now has nothing of it in memory.
    server.process.kill()
    server.process.wait()
    client = servers().client
    found = client.get("/history").json()
    assert list(found) == done
    damaged = [prompt_id for prompt_id in done if found[prompt_id] != entries[prompt_id]]
    assert 0 < len(damaged) < 10
    for prompt_id in damaged:
        number, same_id, prompt, extra_data, nodes = found[prompt_id].pop("prompt")
        expected = entries[prompt_id].pop("prompt")
        assert [number, same_id, prompt, extra_data] == [*expected[:3], {}]
        assert nodes in ([], expected[4])  # stored behind the text, maybe on the same page
        assert found[prompt_id] == entries[prompt_id]
    assert [client.get(path).status for path in LISTS] == [200] * len(LISTS)
    assert client.get(f"/api/jobs/{damaged[0]}").status == 200
    assert_works(client)


def test_whatever_bytes_are_overwritten_the_server_answers(servers: Servers) -> None:
    server = servers()
    client = server.client
    for prompt_id in [client.submit(fault("nothing")) for _ in range(20)]:
        client.wait(prompt_id)
    path = database_of(server)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for part in range(1, 10):
            file.seek(part * size // 10)
            file.write(b"\xff" * 3000)
            file.flush()
            for name in LISTS:
                reply = client.get(name)
                assert reply.status == 200 or reply.json()["error"]["type"] == "storage_unavailable"
                reply.json()
            is_kept_or_refused(client, client.post("/prompt", {"prompt": fault("nothing")}))
    assert client.get("/system_stats").status == 200
    assert server.process.poll() is None


@pytest.mark.slow
def test_a_disk_that_fills_in_the_middle_of_a_commit_keeps_whole_prompts_only(
    servers: Servers,
) -> None:
    server = servers()
    client = server.client
    assert_works(client)
    log = database_of(server).with_name("darkroom.db-wal")
    limit = resource.RLIMIT_FSIZE
    before = resource.prlimit(server.process.pid, limit)
    big = {"note": "x" * 300_000}
    for room in (4096, 20_000, 100_000, 250_000):
        resource.prlimit(server.process.pid, limit, (log.stat().st_size + room, before[1]))
        body = {"prompt": fault("nothing"), "prompt_id": f"with {room}", "extra_data": big}
        refused = client.post("/prompt", body)
        resource.prlimit(server.process.pid, limit, before)
        assert refused.status == 503, refused.body
        assert client.get(f"/api/jobs/with%20{room}").status == 404
        # The same id is free, and there is room again.
        client.submit(fault("nothing"), prompt_id=f"with {room}", extra_data=big)
    for room in (4096, 20_000, 100_000, 250_000):
        wait_until(lambda room=room: status_of(client, f"with%20{room}") == "completed", what="end")  # type: ignore[misc]
    server.process.kill()
    server.process.wait()
    history: dict[str, Any] = servers().client.get("/history").json()
    assert len(history) == 5


def test_the_folder_of_the_database_is_deleted(servers: Servers) -> None:
    server = servers()
    client = server.client
    done = client.submit(fault("nothing"))
    entry = client.wait(done)
    user = server.base / "user"
    shutil.rmtree(user)
    refused = client.post("/prompt", {"prompt": fault("nothing"), "prompt_id": "refused"})
    assert not is_kept_or_refused(client, refused)
    assert client.history(done) == entry
    user.mkdir()
    assert_works(client)
    server.process.kill()
    server.process.wait()
    assert servers().client.history(done) == entry
