"""The queue in motion: order, crashes, interrupts, and what clients are told when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from executor.dispatcher import Dispatcher
from executor.jobs import JobState
from executor.memory_worker import (
    MemoryWorker,
    Script,
    crash,
    emitted,
    finished,
    succeed,
    wait_for_interrupt,
)
from executor.messages import Execute, Log, Preview, Progress, Ready
from executor.pool import Pool
from executor.store import Store
from tests.executor.conftest import make_job
from tests.executor.listening import RecordingListener, eventually


class Setup:
    """A dispatcher over scripted workers."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.listener = RecordingListener()
        self.workers: list[MemoryWorker] = []
        self.scripts: dict[str, list[Script]] = {}  # prompt id -> script of each attempt
        self.dispatcher: Dispatcher
        self.pool: Pool

    async def start(self, workers: int = 1, *, are_ready: bool = True, **options: Any) -> None:
        def make(name: str) -> MemoryWorker:
            worker = MemoryWorker(name, self._run, is_ready_at_once=are_ready)
            self.workers.append(worker)
            return worker

        self.pool = Pool(make, workers, backoff_s=0.01)
        self.dispatcher = Dispatcher(self.store, self.pool, self.listener, **options)
        await self.dispatcher.start()

    async def _run(self, worker: MemoryWorker, command: Execute) -> None:
        scripts = self.scripts.get(command.prompt_id, [])
        await (scripts.pop(0) if scripts else succeed)(worker, command)

    async def history_messages(self, prompt_id: str) -> list[Any]:
        entry = await self.store.finished_job(prompt_id)
        assert entry is not None
        messages = msgspec.json.decode(entry.result.messages)
        assert isinstance(messages, list)
        return messages

    def executed(self) -> list[str]:
        """The prompts that workers were given, worker by worker."""
        return [command.prompt_id for worker in self.workers for command in worker.executed]


@pytest.fixture
async def setup(store: Store) -> AsyncIterator[Setup]:
    setup = Setup(store)
    yield setup
    await setup.dispatcher.stop(0.1)


def waiting_for(go_on: asyncio.Event) -> Script:
    async def script(worker: MemoryWorker, command: Execute) -> None:
        await go_on.wait()
        worker.report(finished(command.prompt_id))

    return script


def saying(text: bytes, then: Script, kind: str = "executing") -> Script:
    async def script(worker: MemoryWorker, command: Execute) -> None:
        worker.report(emitted(command.prompt_id, kind, text))
        await then(worker, command)

    return script


async def test_a_job_goes_to_the_worker_as_it_was_accepted(setup: Setup) -> None:
    await setup.start()
    job = make_job("a", client_id="modern", extra_data=b'{"extra_pnginfo":{"k":1}}')

    await setup.dispatcher.submit(job, {"API_KEY_COMFY_ORG": "secret"})
    await setup.listener.wait_finished("a")

    (command,) = setup.workers[0].executed
    assert command == Execute(
        prompt_id="a",
        prompt=msgspec.json.decode(job.prompt),
        outputs=["2"],
        extra_data={"extra_pnginfo": {"k": 1}},
        client_id="modern",
        secrets={"API_KEY_COMFY_ORG": "secret"},
        supports_preview_metadata=True,
    )
    assert list(command.prompt) == ["2", "1"]


async def test_the_history_is_readable_when_the_end_is_announced(setup: Setup) -> None:
    await setup.start()
    reads: list[asyncio.Task[Any]] = []
    setup.listener.on_finish = lambda job: reads.append(
        asyncio.create_task(setup.store.finished_job(job.prompt_id))
    )

    for i in range(10):
        await setup.dispatcher.submit(make_job(str(i)))
    await setup.listener.wait_finished(*map(str, range(10)))

    assert all([await read for read in reads])


async def test_messages_of_one_job_after_another_keep_their_order(setup: Setup) -> None:
    await setup.start()
    said = saying(b"{}", succeed, "execution_success")
    setup.scripts = {"a": [said], "b": [saying(b"{}", said, "execution_start")]}
    go_on = asyncio.Event()
    setup.scripts["first"] = [waiting_for(go_on)]
    for prompt_id in ("first", "a", "b"):
        await setup.dispatcher.submit(make_job(prompt_id, setup.dispatcher.next_number()))
    setup.listener.told.clear()
    go_on.set()
    await setup.listener.wait_finished("b")

    assert setup.listener.told == [
        ("status", 2),
        ("finished", "first"),
        ("status", 2),
        ("emit", "a", "execution_success"),
        ("status", 1),
        ("finished", "a"),
        ("status", 1),
        ("emit", "b", "execution_start"),
        ("emit", "b", "execution_success"),
        ("status", 0),
        ("finished", "b"),
    ]


async def test_the_finished_job_says_how_it_went(setup: Setup) -> None:
    await setup.start()
    await setup.dispatcher.submit(make_job("a", client_id="c"))
    await setup.listener.wait_finished("a")

    (job,) = setup.listener.finished
    assert job.state is JobState.SUCCEEDED
    assert (job.client_id, job.worker, job.attempts) == ("c", "worker-1", 1)
    assert job.started_at is not None and job.ended_at is not None


async def test_other_events_reach_the_listener(setup: Setup) -> None:
    async def talk(worker: MemoryWorker, command: Execute) -> None:
        worker.report(Preview(prompt_id="a", metadata={}, image=b"x", image_type="image/png"))
        worker.report(Progress(prompt_id="a", node_id="1", class_type="K", value=1, maximum=2))
        worker.report(Log(level=20, logger="x", message="hello"))
        worker.report(finished("a"))

    await setup.start()
    setup.scripts["a"] = [talk]
    await setup.dispatcher.submit(make_job("a", client_id="c"))
    await setup.listener.wait_finished("a")

    told = [what for what in setup.listener.told if what[0] in ("preview", "progress", "log")]
    assert told == [("preview", "c", b"x"), ("progress", "1"), ("log", "worker-1", "hello")]


async def test_jobs_run_in_the_order_of_the_queue(setup: Setup) -> None:
    await setup.start()
    go_on = asyncio.Event()
    setup.scripts["first"] = [waiting_for(go_on)]
    await setup.dispatcher.submit(make_job("first", 0))
    for prompt_id, number in [("c", 5), ("b", 2.5), ("front", -1), ("a", 5)]:
        await setup.dispatcher.submit(make_job(prompt_id, number))
    assert setup.dispatcher.queue_remaining == 5
    go_on.set()
    await setup.listener.wait_finished("c")

    assert setup.executed() == ["first", "front", "b", "a", "c"]
    assert setup.dispatcher.queue_remaining == 0


async def test_jobs_are_accepted_before_a_worker_is_ready(setup: Setup) -> None:
    await setup.start(are_ready=False)
    await setup.dispatcher.submit(make_job("a"))
    assert setup.executed() == []

    await eventually(lambda: setup.workers[0]._runner is not None)
    setup.workers[0].become_ready()
    await setup.listener.wait_finished("a")


async def test_two_workers_share_the_queue(setup: Setup) -> None:
    await setup.start(2)
    await eventually(lambda: all(slot.is_ready for slot in setup.pool.slots))
    go_on = asyncio.Event()
    setup.scripts = {"a": [waiting_for(go_on)], "b": [waiting_for(go_on)]}
    for prompt_id in ("a", "b"):
        await setup.dispatcher.submit(make_job(prompt_id))

    await eventually(lambda: len(setup.executed()) == 2)
    assert [len(worker.executed) for worker in setup.workers] == [1, 1]
    go_on.set()
    await setup.listener.wait_finished("a", "b")


async def test_the_worker_that_worked_last_is_preferred(setup: Setup) -> None:
    await setup.start(2)
    await eventually(lambda: all(slot.is_ready for slot in setup.pool.slots))
    for i in range(5):
        await setup.dispatcher.submit(make_job(str(i)))
        await setup.listener.wait_finished(str(i))

    assert sorted(len(worker.executed) for worker in setup.workers) == [0, 5]


async def test_numbers_count_up_from_zero(setup: Setup) -> None:
    await setup.start()

    assert [setup.dispatcher.next_number() for _ in range(3)] == [0, 1, 2]


async def test_a_restart_takes_up_the_queue_and_counts_on(store: Store, setup: Setup) -> None:
    for prompt_id, number in [("b", 7), ("a", 3), ("front", -9)]:
        await store.add(make_job(prompt_id, number))

    await setup.start()
    await setup.listener.wait_finished("a", "b", "front")

    assert setup.executed() == ["front", "a", "b"]
    assert setup.workers[0].executed[0].outputs == ["2"]
    assert setup.dispatcher.next_number() == 10


# Crashes


async def test_a_job_whose_worker_died_runs_again_on_a_new_one(setup: Setup) -> None:
    await setup.start()
    setup.scripts["a"] = [crash, succeed]

    await setup.dispatcher.submit(make_job("a"), {"API_KEY_COMFY_ORG": "secret"})
    await setup.listener.wait_finished("a")

    (job,) = setup.listener.finished
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert len(setup.workers) == 2
    assert setup.workers[1].executed[0].secrets == {"API_KEY_COMFY_ORG": "secret"}


async def test_a_job_that_kills_every_worker_fails_with_the_reason(setup: Setup) -> None:
    await setup.start(max_attempts=2)
    at_node = saying(b'{"type":"executing","data":{"node":"1","display_node":"1"}}', crash)
    started = saying(
        b'{"type":"execution_start","data":{"prompt_id":"a"}}', at_node, "execution_start"
    )
    setup.scripts["a"] = [started, started]

    await setup.dispatcher.submit(make_job("a", client_id="c"))
    await setup.listener.wait_finished("a")

    (job,) = setup.listener.finished
    assert (job.state, job.attempts) == (JobState.FAILED, 2)
    client_id, told = setup.listener.emitted[-1]
    error = msgspec.json.decode(told.text)
    assert (client_id, told.type, error["type"]) == ("c", "execution_error", "execution_error")
    assert error["data"]["node_id"] == "1"
    assert error["data"]["node_type"] == "Make"
    assert "crashed" in error["data"]["exception_message"]
    assert "2 times" in error["data"]["exception_message"]
    assert set(error["data"]) == {
        "prompt_id",
        "node_id",
        "node_type",
        "executed",
        "exception_message",
        "exception_type",
        "traceback",
        "current_inputs",
        "current_outputs",
        "timestamp",
    }
    messages = await setup.history_messages("a")
    assert messages == [
        ["execution_start", {"prompt_id": "a"}],
        ["execution_error", error["data"]],
    ]


async def test_the_queue_goes_on_after_a_job_that_kills_workers(setup: Setup) -> None:
    await setup.start()
    setup.scripts["a"] = [crash, crash]
    await setup.dispatcher.submit(make_job("a", 0))
    await setup.dispatcher.submit(make_job("b", 1))
    await setup.listener.wait_finished("a", "b")

    assert {job.prompt_id: job.state for job in setup.listener.finished} == {
        "a": JobState.FAILED,
        "b": JobState.SUCCEEDED,
    }


async def test_a_job_that_cannot_be_sent_fails_and_the_queue_goes_on(setup: Setup) -> None:
    await setup.start()
    worker = setup.workers[0]
    execute = worker.execute

    async def refuse(command: Execute) -> None:
        if command.prompt_id == "big":
            raise OverflowError("Integer value out of range")
        await execute(command)

    worker.execute = refuse  # type: ignore[method-assign]
    await setup.dispatcher.submit(make_job("big", 0))
    await setup.dispatcher.submit(make_job("b", 1))
    await setup.listener.wait_finished("big", "b")

    messages = await setup.history_messages("big")
    assert messages[-1][0] == "execution_error"
    assert "out of range" in messages[-1][1]["exception_message"]


async def test_an_event_that_cannot_be_handled_costs_the_worker_not_the_server(
    setup: Setup,
) -> None:
    def refuse(ready: Ready) -> None:
        if len(setup.workers) == 1:
            raise ValueError("no definition has this form")

    await setup.start(on_ready=refuse)
    await setup.dispatcher.submit(make_job("a"))
    await setup.listener.wait_finished("a")

    assert len(setup.workers) == 2


# Cancelling and interrupting


async def test_cancelled_jobs_never_run(setup: Setup) -> None:
    await setup.start()
    go_on = asyncio.Event()
    setup.scripts["a"] = [waiting_for(go_on)]
    for prompt_id in ("a", "b", "c", "d"):
        await setup.dispatcher.submit(make_job(prompt_id))

    assert await setup.dispatcher.cancel(["b", "unknown", "a"]) == 1
    assert setup.dispatcher.queue_remaining == 3
    assert await setup.dispatcher.cancel_all() == 2
    assert await setup.dispatcher.cancel_all() == 0
    go_on.set()
    await setup.listener.wait_finished("a")

    assert setup.executed() == ["a"]


async def test_an_interrupt_reaches_the_running_job(setup: Setup) -> None:
    await setup.start()
    setup.scripts["a"] = [wait_for_interrupt]
    await setup.dispatcher.submit(make_job("a"))

    assert not await setup.dispatcher.interrupt("b")
    assert await setup.dispatcher.interrupt("a")
    await setup.listener.wait_finished("a")

    (job,) = setup.listener.finished
    assert job.state is JobState.INTERRUPTED


async def test_an_interrupt_without_an_id_hits_whatever_runs(setup: Setup) -> None:
    await setup.start()
    assert not await setup.dispatcher.interrupt()
    setup.scripts["a"] = [wait_for_interrupt]
    await setup.dispatcher.submit(make_job("a"))

    assert await setup.dispatcher.interrupt()
    await setup.listener.wait_finished("a")


async def test_an_interrupt_just_after_a_job_left_the_queue_hits_it(
    store: Store, setup: Setup
) -> None:
    """The job comes from the last run of the server: its content must be read first."""
    await store.add(make_job("a"))
    setup.scripts["a"] = [wait_for_interrupt]
    await setup.start()
    await eventually(lambda: setup.pool.slots[0].is_busy)
    assert setup.executed() == []

    assert await setup.dispatcher.interrupt("a")
    await setup.listener.wait_finished("a")

    assert setup.listener.finished[0].state is JobState.INTERRUPTED


async def test_a_job_whose_worker_dies_of_an_interrupt_is_not_tried_again(setup: Setup) -> None:
    async def die_when_interrupted(worker: MemoryWorker, command: Execute) -> None:
        await worker.interrupted(command.prompt_id)
        worker.lose("fell over")

    await setup.start()
    setup.scripts["a"] = [die_when_interrupted]
    await setup.dispatcher.submit(make_job("a"))
    await setup.dispatcher.interrupt("a")
    await setup.listener.wait_finished("a")

    assert setup.listener.finished[0].state is JobState.INTERRUPTED
    assert setup.listener.emitted[-1][1].type == "execution_interrupted"


# The rest


async def test_free_goes_to_every_ready_worker(setup: Setup) -> None:
    await setup.start(2)
    await eventually(lambda: all(slot.is_ready for slot in setup.pool.slots))

    await setup.dispatcher.free(unload_models=True, free_memory=False)

    assert [worker.freed for worker in setup.workers] == [[(True, False)]] * 2


async def test_a_client_that_reconnects_learns_which_node_runs(setup: Setup) -> None:
    text = b'{"type":"executing","data":{"node":"1.0","display_node":"1","prompt_id":"a"}}'
    await setup.start()
    setup.scripts["a"] = [saying(text, wait_for_interrupt)]
    await setup.dispatcher.submit(make_job("a", client_id="c"))
    await setup.listener.wait_for(lambda: bool(setup.listener.emitted))

    assert setup.dispatcher.running_node("c") == "1"
    assert setup.dispatcher.running_node("other") is None


async def test_stopping_puts_the_running_job_back_without_counting_it(
    store: Store, setup: Setup
) -> None:
    await setup.start()
    setup.scripts["a"] = [wait_for_interrupt]
    job = await setup.dispatcher.submit(make_job("a", 0))
    await setup.dispatcher.submit(make_job("b", 1))
    await eventually(lambda: setup.executed() == ["a"])

    await setup.dispatcher.stop(0.1)

    stored = await store.job(job.sequence)
    assert stored is not None
    assert (stored.state, stored.attempts) == (JobState.QUEUED, 0)
    assert [key[1] for key in await store.waiting()] == ["a", "b"]
    assert setup.listener.finished == []


async def test_a_job_on_disk_gets_in_line_although_its_client_left(setup: Setup) -> None:
    await setup.start()
    task = asyncio.create_task(setup.dispatcher.submit(make_job("a")))
    await asyncio.sleep(0)
    task.cancel()

    await setup.listener.wait_finished("a")
