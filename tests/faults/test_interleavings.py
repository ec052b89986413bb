"""Clients and disasters in any order: every accepted prompt ends in one state, its record stays.

hypothesis chooses the steps. What is checked after each of them and at the end is in `Ledger`.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import psutil
import pytest
import websocket
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.client import Client, Listener, wait_until
from tests.conftest import ServerProcess, start_server
from tests.faults.conftest import fault, install

ENDS: Final = ("completed", "failed", "cancelled")
_STATE_OF: Final = {
    "execution_success": "completed",
    "execution_error": "failed",
    "execution_interrupted": "cancelled",
    "execution_cancelled": "cancelled",
}
_CLIENT: Final = "observer"
_DEADLINE_S: Final = 120.0
# Of what there is at that moment: what is drawn must not depend on how fast a server is.
_CHOICES: Final = st.integers(0, 1000)


@dataclass
class Record:
    """What we know of one accepted prompt."""

    prompt_id: str
    kind: str
    seed: int
    number: float | None  # None: automatic
    disasters: int = 0  # that may have made it run again
    was_cancelled: bool = False  # the server said that our cancel did it
    may_be_cancelled: bool = False  # we asked for something that may have done it
    end: str | None = None  # the state in which it was seen to end
    is_forgotten: bool = False  # we deleted its history


class Observer:
    """Notes what the socket of the prompts' client is told, across servers."""

    def __init__(self, threads: list[threading.Thread]) -> None:
        self._threads = threads
        self.told: dict[str, list[str]] = {}  # prompt id -> ends that were announced and stored
        self._announced: dict[str, str] = {}
        self._lock = threading.Lock()

    def listen_to(self, server: ServerProcess) -> None:
        """In a thread, until the server ends."""
        listener = server.client.listen(_CLIENT)
        self._threads.append(threading.Thread(target=self._listen, args=(listener,), daemon=True))
        self._threads[-1].start()

    def _listen(self, listener: Listener) -> None:
        try:
            while True:
                message = listener.receive()
                if isinstance(message, dict):
                    with self._lock:
                        self._note(message["type"], message["data"])
        except (OSError, ValueError, websocket.WebSocketException):  # the server has ended
            listener.socket.shutdown()

    def _note(self, kind: str, data: dict[str, Any]) -> None:
        prompt_id = data.get("prompt_id")
        if prompt_id is None:
            return
        if kind in _STATE_OF:
            self._announced[prompt_id] = _STATE_OF[kind]
        # Only with the last message of a job is its end on disk.
        is_last = kind == "executing" and data["node"] is None
        if kind == "execution_cancelled" or is_last:
            self.told.setdefault(prompt_id, []).append(self._announced[prompt_id])

    def ends_of(self, prompt_id: str) -> list[str]:
        with self._lock:
            return list(self.told.get(prompt_id, ()))


@dataclass
class Ledger:
    """The accepted prompts, and what must hold of them whatever happens."""

    base: Path
    records: dict[str, Record] = field(default_factory=dict)

    def open(self) -> list[Record]:
        """Those that were not seen to end."""
        return [record for record in self.records.values() if record.end is None]

    def look(self, client: Client) -> None:
        """All prompts are there, and what has ended stays as it ended."""
        queue = client.get("/queue").json()
        self._check_order([item[1] for item in queue["queue_pending"]])
        for record in self.records.values():
            reply = client.get(f"/api/jobs/{record.prompt_id}")
            if record.is_forgotten:
                assert reply.status == 404
                continue
            assert reply.status == 200, f"{record} is lost"
            self._check_state(record, reply.json()["status"])

    def _check_order(self, waiting: list[str]) -> None:
        """Lower numbers first; those without a number in the order in which they came."""
        known = [self.records[prompt_id] for prompt_id in waiting if prompt_id in self.records]
        numbered = [record.number for record in known if record.number is not None]
        assert numbered == sorted(numbered)
        automatic = [record.seed for record in known if record.number is None]
        assert automatic == sorted(automatic)

    def _check_state(self, record: Record, state: str) -> None:
        if record.end is not None:
            assert state == record.end, f"{record} is {state} now"
        elif state in ENDS:
            record.end = state
            assert state in self._possible_ends(record), f"{record} ended as {state}"

    def _possible_ends(self, record: Record) -> set[str]:
        if record.was_cancelled:
            return {"cancelled"}
        own = {"nothing": {"completed"}, "error": {"failed"}, "wait": set[str]()}[record.kind]
        return (
            own
            | ({"cancelled"} if record.may_be_cancelled else set())
            | ({"failed"} if record.disasters else set())  # after too many attempts
        )

    def check_work(self) -> None:
        """Nothing was done twice, unless a disaster came between."""
        completed = self._lines("completed.txt")
        for record in self.records.values():
            times = completed.count(str(record.seed))
            assert times <= 1 + record.disasters, f"{record} was done {times} times"
            assert times >= 1 or record.end != "completed", f"{record} was never done"

    def check_messages(self, observer: Observer) -> None:
        """Clients were told what is stored, and that once."""
        for record in self.records.values():
            told = observer.ends_of(record.prompt_id)
            assert told in ([], [record.end]), f"{record}: clients were told {told}"
            assert told or record.disasters, f"{record}: clients were told nothing"

    def _lines(self, name: str) -> list[str]:
        path = self.base / "user" / name
        return path.read_text().split() if path.exists() else []


class Interleavings(RuleBasedStateMachine):
    """One run: steps against a server that the runs share."""

    base: ClassVar[Path]
    server: ClassVar[ServerProcess]
    seeds: ClassVar[Iterator[int]]
    threads: ClassVar[list[threading.Thread]]
    environ: ClassVar[dict[str, str]] = {
        "DARKROOM_JOB_ATTEMPTS": "4",
        "DARKROOM_INTERRUPT_GRACE": "5",
        "DARKROOM_HISTORY_LIMIT": "100000",
    }

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(self.base)
        self.observer = Observer(self.threads)
        self.observer.listen_to(self.server)

    @property
    def client(self) -> Client:
        return Client(self.server.address, _CLIENT)

    def _submit(self, kind: str, number: float | None, *, seed: int, client: Client) -> int:
        """The status of the answer; the prompt is in the ledger if it was accepted."""
        prompt_id = f"job-{seed}"
        more = {"prompt_id": prompt_id} | ({} if number is None else {"number": number})
        body = {"prompt": fault(kind, seed), "client_id": _CLIENT} | more
        reply = client.post("/prompt", body)
        if reply.status == 200:
            assert reply.json()["prompt_id"] == prompt_id
            self.ledger.records[prompt_id] = Record(prompt_id, kind, seed, number)
        return reply.status

    def _any(self, choice: int, records: list[Record]) -> Record | None:
        return records[choice % len(records)] if records else None

    def _kept(self) -> list[Record]:
        return [record for record in self.ledger.records.values() if not record.is_forgotten]

    @initialize()
    def start(self) -> None:
        for _ in range(2):
            assert self._submit("nothing", None, seed=next(self.seeds), client=self.client) == 200

    @rule(
        kind=st.sampled_from(["nothing", "nothing", "error", "wait"]),
        number=st.none() | st.integers(-3, 3),
    )
    def submit(self, kind: str, number: int | None) -> None:
        assert self._submit(kind, number, seed=next(self.seeds), client=self.client) == 200

    @rule(choice=_CHOICES)
    def submit_again(self, choice: int) -> None:
        record = self._any(choice, self._kept())
        if record is not None:
            body = {"prompt": fault("nothing", 0), "prompt_id": record.prompt_id}
            reply = self.client.post("/prompt", body)
            assert (reply.status, reply.json()["error"]["type"]) == (409, "prompt_id_exists")

    @rule(choice=_CHOICES)
    def cancel(self, choice: int) -> None:
        record = self._any(choice, self._kept())
        if record is not None:
            reply = self.client.post(f"/api/jobs/{record.prompt_id}/cancel")
            assert reply.status == 200
            is_cancelled = reply.json()["cancelled"]
            assert not (is_cancelled and (record.end or record.was_cancelled)), record
            record.was_cancelled = record.was_cancelled or is_cancelled

    @rule(choice=_CHOICES)
    def take_out(self, choice: int) -> None:
        record = self._any(choice, self._kept())
        if record is not None:
            record.may_be_cancelled = True
            assert self.client.post("/queue", {"delete": [record.prompt_id]}).status == 200

    @rule()
    def clear_queue(self) -> None:
        self._may_cancel(self.ledger.open())
        assert self.client.post("/queue", {"clear": True}).status == 200

    @rule()
    def interrupt(self) -> None:
        self._may_cancel(self.ledger.open())
        assert self.client.post("/interrupt").status == 200

    @rule(choice=_CHOICES)
    def interrupt_one(self, choice: int) -> None:
        record = self._any(choice, self._kept())
        if record is not None:
            self._may_cancel([record])
            reply = self.client.post("/interrupt", {"prompt_id": record.prompt_id})
            assert reply.status == 200

    def _may_cancel(self, records: list[Record]) -> None:
        for record in records:
            record.may_be_cancelled = True

    @rule(choice=_CHOICES)
    def forget(self, choice: int) -> None:
        record = self._any(choice, [record for record in self._kept() if record.end])
        if record is not None:
            assert self.client.post("/history", {"delete": [record.prompt_id]}).status == 200
            record.is_forgotten = True

    @rule(choice=_CHOICES)
    def wait_for_one(self, choice: int) -> None:
        waited_for = [record for record in self.ledger.open() if record.kind != "wait"]
        if waited_for and not [x for x in self.ledger.open() if x.kind == "wait"]:
            record = self._any(choice, waited_for)
            assert record is not None
            wait_until(lambda: self._has_ended(record), what="it ends", deadline_s=_DEADLINE_S)

    def _has_ended(self, record: Record) -> bool:
        state: str = self.client.get(f"/api/jobs/{record.prompt_id}").json()["status"]
        return state in ENDS

    @rule()
    def kill_worker(self) -> None:
        self._disaster()
        for process in psutil.Process(self.server.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended just now
                if "executor.worker" in process.cmdline():
                    process.kill()

    @rule()
    def kill_server(self) -> None:
        self._disaster()
        self.server.process.kill()
        self.server.process.wait()
        self._start()

    @rule()
    def stop_server(self) -> None:
        self._disaster()
        assert self.server.stop() == 0
        self._start()

    @rule(kinds=st.lists(st.sampled_from(["nothing", "error"]), min_size=3, max_size=8))
    def kill_server_while_many_submit(self, kinds: list[str]) -> None:
        seeds = [next(self.seeds) for _ in kinds]
        client = self.client

        def submit(kind: str, seed: int) -> None:
            try:
                self._submit(kind, 0.0, seed=seed, client=client)
            except (OSError, ValueError):  # the server is gone: nobody knows
                return

        with ThreadPoolExecutor(len(kinds)) as many:
            sent = [
                many.submit(submit, kind, seed) for kind, seed in zip(kinds, seeds, strict=True)
            ]
            sent[0].result()
            self.server.process.kill()
            for one in sent:
                one.result()
        self._disaster()
        self.server.process.wait()
        self._start()
        for kind, seed in zip(kinds, seeds, strict=True):  # it is safe to send them again
            if f"job-{seed}" not in self.ledger.records:
                status = self._submit(kind, 0.0, seed=seed, client=self.client)
                assert status in (200, 409)
                if status == 409:
                    record = Record(f"job-{seed}", kind, seed, 0.0, disasters=1)
                    self.ledger.records[record.prompt_id] = record

    def _disaster(self) -> None:
        for record in self.ledger.records.values():
            record.disasters += 1

    def _start(self) -> None:
        type(self).server = start_server(self.base, environ=self.environ)
        self.observer.listen_to(self.server)

    @invariant()
    def all_is_well(self) -> None:
        self.ledger.look(self.client)

    def teardown(self) -> None:
        """Let all prompts end, and check what remains."""
        for record in self.ledger.open():
            if record.kind == "wait":
                record.may_be_cancelled = True
                self.client.post("/api/jobs/cancel", {"job_ids": [record.prompt_id]})
        wait_until(self._is_idle, what="the queue is empty", deadline_s=_DEADLINE_S)
        self.ledger.look(self.client)
        assert self.ledger.open() == []
        self.ledger.check_work()
        wait_until(self._all_told, what="clients are told", deadline_s=10)
        self.ledger.check_messages(self.observer)

    def _is_idle(self) -> bool:
        remaining: int = self.client.get("/prompt").json()["exec_info"]["queue_remaining"]
        return remaining == 0

    def _all_told(self) -> bool:
        return all(
            record.disasters or self.observer.ends_of(record.prompt_id)
            for record in self.ledger.records.values()
        )


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[type[Interleavings]]:
    """The state machine with a server of its own."""

    class Machine(Interleavings):
        base = install(tmp_path)
        seeds = itertools.count(1)
        threads: ClassVar[list[threading.Thread]] = []
        server = start_server(tmp_path, environ=Interleavings.environ)

    yield Machine
    Machine.server.stop()
    for thread in Machine.threads:
        thread.join(10)


def run(machine: type[Interleavings], **options: Any) -> None:
    """Without shrinking: what real processes do is not the same a second time."""
    machine.TestCase.settings = settings(
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        **options,
    )
    machine.TestCase().runTest()


def test_whatever_happens_every_accepted_prompt_ends_in_one_state(
    machine: type[Interleavings],
) -> None:
    run(machine, max_examples=3, stateful_step_count=12, derandomize=True)


@pytest.mark.slow
def test_whatever_happens_for_long_every_accepted_prompt_ends_in_one_state(
    machine: type[Interleavings],
) -> None:
    run(machine, max_examples=100, stateful_step_count=50, print_blob=True)
