"""The process around a worker: how its end is noticed, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import textwrap
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from executor import local_worker
from executor.local_worker import LocalWorker
from executor.messages import Event, Heartbeat, Log
from executor.worker_config import WorkerConfig
from executor.worker_interface import CallFailed, WorkerLost
from tests.executor.listening import DEADLINE_S, eventually

# Stands in for the worker's program: the same wire, but no torch. Each test adds what it does.
PREAMBLE = """
import argparse, os, socket, subprocess, sys, time
from executor.messages import Call, Heartbeat, Log, Reply, Stop, decode_command, frame
parser = argparse.ArgumentParser()
parser.add_argument("--fd", type=int)
parser.add_argument("--config")
connection = socket.socket(fileno=parser.parse_args().fd)
stream = connection.makefile("rb")
def send(event):
    connection.sendall(frame(event))
def receive():
    return decode_command(stream.read(int.from_bytes(stream.read(4), "big")))
"""


@pytest.fixture
async def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., LocalWorker]]:
    """Makes workers whose program is the given one."""
    made: list[LocalWorker] = []

    def make(program: str, *, pack_import_timeout_s: float = 60, **options: float) -> LocalWorker:
        file = tmp_path / f"program{len(made)}.py"
        file.write_text(PREAMBLE + textwrap.dedent(program))
        monkeypatch.setattr(local_worker, "PROGRAM", (str(file),))
        config = WorkerConfig(base=str(tmp_path), pack_import_timeout_s=pack_import_timeout_s)
        made.append(LocalWorker("w", config, **options))
        return made[-1]

    yield make
    for worker in made:
        await worker.stop(0.1)


async def read(worker: LocalWorker) -> tuple[list[Event], WorkerLost | None]:
    """All events to the end, and how it came."""
    events: list[Event] = []
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for event in worker.events():
                events.append(event)
    except WorkerLost as lost:
        return events, lost
    return events, None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def permissions(folder: str) -> int | None:
    """Of a folder; None if it is not there."""
    path = Path(folder)
    return path.stat().st_mode & 0o777 if path.exists() else None


Start = Callable[..., LocalWorker]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("sys.exit(3)", "ended with exit code 3"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL; memory may have run out"),
        ("os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
    ],
)
async def test_the_reason_of_its_end_is_told(start: Start, program: str, reason: str) -> None:
    worker = start("send(Heartbeat())\n" + program)
    await worker.start()

    events, lost = await read(worker)

    assert events == [Heartbeat()]
    assert lost is not None and lost.reason == f"worker 'w' {reason}"


async def test_a_silent_worker_is_given_up_and_ended(start: Start) -> None:
    worker = start("send(Heartbeat()); time.sleep(600)", silence_s=1.0)
    await worker.start()
    assert worker._process is not None

    _, lost = await read(worker)

    assert lost is not None and "reported nothing for 1 s" in lost.reason
    assert worker._process.poll() == -signal.SIGKILL


async def test_what_is_no_message_ends_the_worker(start: Start) -> None:
    worker = start("connection.sendall(b'\\0\\0\\0\\2xx'); time.sleep(600)")
    await worker.start()

    _, lost = await read(worker)

    assert lost is not None and "sent what is no message" in lost.reason


async def test_events_in_pieces_and_in_bunches_come_whole_and_in_order(start: Start) -> None:
    worker = start(
        """
        logs = b"".join(frame(Log(level=1, logger="x", message=str(i))) for i in range(20000))
        connection.sendall(logs[:3])
        time.sleep(0.05)
        connection.sendall(logs[3:50])
        connection.sendall(logs[50:])
        send(Log(level=1, logger="x", message="y" * 3_000_000))
        sys.exit(0)
        """
    )
    await worker.start()

    events, _ = await read(worker)

    messages = [event.message for event in events if isinstance(event, Log)]
    assert messages[:-1] == [str(i) for i in range(20000)]
    assert len(messages[-1]) == 3_000_000


async def test_answers_find_their_questions(start: Start) -> None:
    worker = start(
        """
        first, second = receive(), receive()
        send(Reply(call_id=second.call_id, result=second.arguments["n"]))
        send(Reply(call_id=first.call_id, error="ValueError: no"))
        receive()
        stream.read(1)  # until the other side closes
        """
    )
    await worker.start()
    reading = asyncio.create_task(read(worker))

    refused = asyncio.create_task(worker.call("b", {"n": 2}, DEADLINE_S))
    answered = asyncio.create_task(worker.call("a", {"n": 1}, DEADLINE_S))

    with pytest.raises(CallFailed, match="ValueError: no"):
        await refused
    assert await answered == 1
    with pytest.raises(TimeoutError):
        await worker.call("c", {}, 0.05)
    await worker.stop(5)
    await reading


async def test_questions_to_a_worker_that_dies_fail(start: Start) -> None:
    worker = start("receive(); sys.exit(1)")
    await worker.start()
    reading = asyncio.create_task(read(worker))

    with pytest.raises(WorkerLost, match="exit code 1"):
        await worker.call("a", {}, DEADLINE_S)
    await reading


async def test_a_worker_that_does_not_end_is_ended_with_its_children(start: Start) -> None:
    worker = start(
        """
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        send(Log(level=child.pid, logger="x", message=""))
        time.sleep(600)
        """
    )
    await worker.start()
    child = 0
    async for event in worker.events():
        assert isinstance(event, Log)
        child = event.level
        break
    assert is_alive(child)

    await worker.stop(0.1)

    assert worker._process is not None and worker._process.poll() == -signal.SIGKILL
    await eventually(lambda: not is_alive(child))


async def test_a_worker_that_ends_as_asked_is_not_lost(start: Start) -> None:
    worker = start("assert isinstance(receive(), Stop)")
    await worker.start()
    reading = asyncio.create_task(read(worker))

    await worker.stop(DEADLINE_S)

    assert await reading == ([], None)
    assert worker._process is not None and worker._process.poll() == 0


async def test_stopping_a_worker_that_was_never_started_is_fine(start: Start) -> None:
    worker = start("")
    await worker.stop(1)

    with pytest.raises(WorkerLost):
        await worker.free(unload_models=True, free_memory=True)


async def test_a_pack_that_takes_too_long_is_the_reason_of_the_end(start: Start) -> None:
    program = """
    from executor.messages import Loading
    send(Loading(pack="slow"))
    time.sleep(0.3)
    os._exit(1)
    """
    worker = start(program, pack_import_timeout_s=0.2)
    await worker.start({"other": "why"})
    assert worker._config.left_out == {"other": "why"}

    _, lost = await read(worker)

    assert lost is not None
    assert (
        lost.reason == "worker 'w' was ended because a node pack took longer than 0.2 s to import"
    )


async def test_its_private_folder_goes_with_it(start: Start) -> None:
    worker = start("send(Heartbeat()); time.sleep(600)")
    await worker.start()
    folder = str(worker._run_folder)
    assert permissions(folder) == 0o700

    await worker.stop(0.1)

    assert permissions(folder) is None


async def test_a_worker_that_is_stopped_while_it_is_launched_leaves_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "run"))
    await asyncio.to_thread((tmp_path / "run").mkdir)
    worker = start("time.sleep(600)")
    is_launching, go_on = threading.Event(), threading.Event()
    launch = worker._open_process

    def launch_late(fd: int, folder: str) -> subprocess.Popen[bytes]:
        process = launch(fd, folder)
        is_launching.set()
        go_on.wait(60)
        return process

    monkeypatch.setattr(worker, "_open_process", launch_late)
    starting = asyncio.create_task(worker.start())
    await asyncio.to_thread(is_launching.wait, 60)
    await worker.stop(0.1)
    starting.cancel()
    go_on.set()

    await eventually(lambda: worker._process is not None and worker._process.poll() is not None)
    await eventually(lambda: not list((tmp_path / "run").iterdir()))
    await asyncio.wait([starting])
