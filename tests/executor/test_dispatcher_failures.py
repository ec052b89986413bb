"""Workers that die, jobs that are cancelled or interrupted."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from executor.jobs import Job, JobState
from executor.memory_worker import (
    MemoryWorker,
    crash,
    emitted,
    finished,
    succeed,
    wait_for_interrupt,
)
from executor.messages import Execute, Ready
from executor.store import Store
from tests.executor.conftest import make_job
from tests.executor.dispatching import Dispatching, saying, waiting_for
from tests.executor.listening import eventually


async def test_a_job_whose_worker_died_runs_again_on_a_new_one(dispatching: Dispatching) -> None:
    await dispatching.start()
    dispatching.scripts["a"] = [crash, succeed]

    await dispatching.dispatcher.submit(make_job("a"), {"API_KEY_COMFY_ORG": "secret"})
    await dispatching.listener.wait_finished("a")

    (job,) = dispatching.listener.finished
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert len(dispatching.workers) == 2
    assert dispatching.workers[1].executed[0].secrets == {"API_KEY_COMFY_ORG": "secret"}


async def test_a_job_that_kills_every_worker_fails_with_the_reason(
    dispatching: Dispatching,
) -> None:
    await dispatching.start(max_attempts=2)
    at_node = saying(b'{"type":"executing","data":{"node":"1","display_node":"1"}}', crash)
    started = saying(
        b'{"type":"execution_start","data":{"prompt_id":"a"}}', at_node, "execution_start"
    )
    dispatching.scripts["a"] = [started, started]

    await dispatching.dispatcher.submit(make_job("a", client_id="c"))
    await dispatching.listener.wait_finished("a")

    (job,) = dispatching.listener.finished
    assert (job.state, job.attempts) == (JobState.FAILED, 2)
    client_id, told = dispatching.listener.emitted[-1]
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
    messages = await dispatching.history_messages("a")
    assert messages == [
        ["execution_start", {"prompt_id": "a"}],
        ["execution_error", error["data"]],
    ]


async def test_the_queue_goes_on_after_a_job_that_kills_workers(dispatching: Dispatching) -> None:
    await dispatching.start()
    dispatching.scripts["a"] = [crash, crash]
    await dispatching.dispatcher.submit(make_job("a", 0))
    await dispatching.dispatcher.submit(make_job("b", 1))
    await dispatching.listener.wait_finished("a", "b")

    assert {job.prompt_id: job.state for job in dispatching.listener.finished} == {
        "a": JobState.FAILED,
        "b": JobState.SUCCEEDED,
    }


async def test_a_job_that_cannot_be_sent_fails_and_the_queue_goes_on(
    dispatching: Dispatching,
) -> None:
    await dispatching.start()
    worker = dispatching.workers[0]
    execute = worker.execute

    async def refuse(command: Execute) -> None:
        if command.prompt_id == "big":
            raise OverflowError("Integer value out of range")
        await execute(command)

    worker.execute = refuse  # type: ignore[method-assign]
    await dispatching.dispatcher.submit(make_job("big", 0))
    await dispatching.dispatcher.submit(make_job("b", 1))
    await dispatching.listener.wait_finished("big", "b")

    messages = await dispatching.history_messages("big")
    assert messages[-1][0] == "execution_error"
    assert "out of range" in messages[-1][1]["exception_message"]


async def test_an_event_that_cannot_be_handled_costs_the_worker_not_the_server(
    dispatching: Dispatching,
) -> None:
    def refuse(ready: Ready) -> None:
        if len(dispatching.workers) == 1:
            raise ValueError("no definition has this form")

    await dispatching.start(on_ready=refuse)
    await dispatching.dispatcher.submit(make_job("a"))
    await dispatching.listener.wait_finished("a")

    assert len(dispatching.workers) == 2


async def test_cancelled_jobs_never_run(dispatching: Dispatching) -> None:
    await dispatching.start()
    go_on = asyncio.Event()
    dispatching.scripts["a"] = [waiting_for(go_on)]
    for prompt_id in ("a", "b", "c", "d"):
        await dispatching.dispatcher.submit(make_job(prompt_id))

    assert await dispatching.dispatcher.cancel(["b", "unknown", "a"]) == 1
    assert dispatching.dispatcher.queue_remaining == 3
    assert await dispatching.dispatcher.cancel_all() == 2
    assert await dispatching.dispatcher.cancel_all() == 0
    go_on.set()
    await dispatching.listener.wait_finished("a")

    assert dispatching.executed() == ["a"]


async def test_an_interrupt_reaches_the_running_job(dispatching: Dispatching) -> None:
    await dispatching.start()
    dispatching.scripts["a"] = [wait_for_interrupt]
    await dispatching.dispatcher.submit(make_job("a"))

    assert not await dispatching.dispatcher.interrupt("b")
    assert await dispatching.dispatcher.interrupt("a")
    await dispatching.listener.wait_finished("a")

    (job,) = dispatching.listener.finished
    assert job.state is JobState.INTERRUPTED


@pytest.mark.parametrize("kind", ["execution_success", "execution_error"])
async def test_an_interrupt_that_was_promised_holds_although_the_job_was_done(
    dispatching: Dispatching, kind: str
) -> None:
    succeeded = kind == "execution_success"
    interrupted = asyncio.Event()

    async def be_done(worker: MemoryWorker, command: Execute) -> None:
        await interrupted.wait()  # by then the promise is given; the worker does not know of it
        worker.report(emitted(command.prompt_id, kind))
        worker.report(finished(command.prompt_id, succeeded=succeeded, outputs={"2": {"x": []}}))

    await dispatching.start()
    dispatching.scripts["a"] = [be_done]
    await dispatching.dispatcher.submit(make_job("a", client_id="c"))
    assert await dispatching.dispatcher.stop_jobs(["a"])
    interrupted.set()
    await dispatching.listener.wait_finished("a")

    entry = await dispatching.store.finished_job("a")
    assert entry is not None and entry.job.state is JobState.INTERRUPTED
    assert entry.result.outputs == b'{"2":{"x":[]}}'
    messages = await dispatching.history_messages("a")
    assert [name for name, _ in messages] == ["execution_interrupted"]
    assert [(owner, event.type) for owner, event in dispatching.listener.emitted] == [
        ("c", "execution_interrupted")
    ]


@pytest.mark.parametrize("kind", ["execution_success", "execution_error"])
async def test_a_job_whose_end_clients_know_cannot_be_interrupted(
    dispatching: Dispatching, kind: str
) -> None:
    go_on = asyncio.Event()

    async def tell_and_wait(worker: MemoryWorker, command: Execute) -> None:
        worker.report(emitted(command.prompt_id, kind))
        await go_on.wait()
        worker.report(finished(command.prompt_id, succeeded=kind == "execution_success"))

    await dispatching.start()
    dispatching.scripts["a"] = [tell_and_wait]
    await dispatching.dispatcher.submit(make_job("a"))
    await dispatching.listener.wait_for(lambda: ("emit", "a", kind) in dispatching.listener.told)
    assert not await dispatching.dispatcher.stop_jobs(["a"])
    assert not await dispatching.dispatcher.interrupt()
    go_on.set()
    await dispatching.listener.wait_finished("a")
    state = JobState.SUCCEEDED if kind == "execution_success" else JobState.FAILED
    assert [job.state for job in dispatching.listener.finished] == [state]


async def test_a_job_whose_worker_has_just_died_can_be_cancelled(dispatching: Dispatching) -> None:
    await dispatching.start()
    dispatching.scripts["a"] = [crash]
    cancelled: list[bool] = []
    slow = dispatching.store.put_back

    def put_back(sequence: int, *, count_attempt: bool) -> asyncio.Future[bool]:
        async def cancel() -> None:
            cancelled.append(await dispatching.dispatcher.stop_jobs(["a"]))

        cancelling.append(asyncio.create_task(cancel()))
        return slow(sequence, count_attempt=count_attempt)

    cancelling: list[asyncio.Task[None]] = []
    dispatching.store.put_back = put_back  # type: ignore[method-assign]
    await dispatching.dispatcher.submit(make_job("a"))
    await eventually(lambda: cancelled == [True])
    stored = await dispatching.store.record("a")
    assert stored is not None and stored.job.state is JobState.CANCELLED


async def test_an_interrupt_without_an_id_hits_whatever_runs(dispatching: Dispatching) -> None:
    await dispatching.start()
    assert not await dispatching.dispatcher.interrupt()
    dispatching.scripts["a"] = [wait_for_interrupt]
    await dispatching.dispatcher.submit(make_job("a"))

    assert await dispatching.dispatcher.interrupt()
    await dispatching.listener.wait_finished("a")


async def test_an_interrupt_just_after_a_job_left_the_queue_hits_it(
    store: Store, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job comes from the last run of the server: its content must be read first."""
    await store.add(make_job("a"))
    dispatching.scripts["a"] = [wait_for_interrupt]
    read, go_on = store.job, asyncio.Event()

    async def read_late(sequence: int) -> Job | None:
        await go_on.wait()
        return await read(sequence)

    monkeypatch.setattr(store, "job", read_late)
    await dispatching.start()
    await eventually(lambda: dispatching.pool.slots[0].is_busy)
    assert dispatching.executed() == []

    assert await dispatching.dispatcher.interrupt("a")
    go_on.set()
    await dispatching.listener.wait_finished("a")

    assert dispatching.listener.finished[0].state is JobState.INTERRUPTED


async def test_a_job_whose_worker_dies_of_an_interrupt_is_not_tried_again(
    dispatching: Dispatching,
) -> None:
    async def die_when_interrupted(worker: MemoryWorker, command: Execute) -> None:
        await worker.interrupted(command.prompt_id)
        worker.lose("fell over")

    await dispatching.start()
    dispatching.scripts["a"] = [die_when_interrupted]
    await dispatching.dispatcher.submit(make_job("a"))
    await dispatching.dispatcher.interrupt("a")
    await dispatching.listener.wait_finished("a")

    assert dispatching.listener.finished[0].state is JobState.INTERRUPTED
    assert dispatching.listener.emitted[-1][1].type == "execution_interrupted"
