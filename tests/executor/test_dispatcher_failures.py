"""Workers that die, jobs that are cancelled or interrupted."""

from __future__ import annotations

import asyncio

import msgspec

from executor.jobs import JobState
from executor.memory_worker import MemoryWorker, crash, succeed, wait_for_interrupt
from executor.messages import Execute, Ready
from executor.store import Store
from tests.executor.conftest import make_job
from tests.executor.dispatching import Dispatching, saying, waiting_for
from tests.executor.listening import eventually


async def test_a_job_whose_worker_died_runs_again_on_a_new_one(setup: Dispatching) -> None:
    await setup.start()
    setup.scripts["a"] = [crash, succeed]

    await setup.dispatcher.submit(make_job("a"), {"API_KEY_COMFY_ORG": "secret"})
    await setup.listener.wait_finished("a")

    (job,) = setup.listener.finished
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert len(setup.workers) == 2
    assert setup.workers[1].executed[0].secrets == {"API_KEY_COMFY_ORG": "secret"}


async def test_a_job_that_kills_every_worker_fails_with_the_reason(setup: Dispatching) -> None:
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


async def test_the_queue_goes_on_after_a_job_that_kills_workers(setup: Dispatching) -> None:
    await setup.start()
    setup.scripts["a"] = [crash, crash]
    await setup.dispatcher.submit(make_job("a", 0))
    await setup.dispatcher.submit(make_job("b", 1))
    await setup.listener.wait_finished("a", "b")

    assert {job.prompt_id: job.state for job in setup.listener.finished} == {
        "a": JobState.FAILED,
        "b": JobState.SUCCEEDED,
    }


async def test_a_job_that_cannot_be_sent_fails_and_the_queue_goes_on(setup: Dispatching) -> None:
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
    setup: Dispatching,
) -> None:
    def refuse(ready: Ready) -> None:
        if len(setup.workers) == 1:
            raise ValueError("no definition has this form")

    await setup.start(on_ready=refuse)
    await setup.dispatcher.submit(make_job("a"))
    await setup.listener.wait_finished("a")

    assert len(setup.workers) == 2


async def test_cancelled_jobs_never_run(setup: Dispatching) -> None:
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


async def test_an_interrupt_reaches_the_running_job(setup: Dispatching) -> None:
    await setup.start()
    setup.scripts["a"] = [wait_for_interrupt]
    await setup.dispatcher.submit(make_job("a"))

    assert not await setup.dispatcher.interrupt("b")
    assert await setup.dispatcher.interrupt("a")
    await setup.listener.wait_finished("a")

    (job,) = setup.listener.finished
    assert job.state is JobState.INTERRUPTED


async def test_an_interrupt_without_an_id_hits_whatever_runs(setup: Dispatching) -> None:
    await setup.start()
    assert not await setup.dispatcher.interrupt()
    setup.scripts["a"] = [wait_for_interrupt]
    await setup.dispatcher.submit(make_job("a"))

    assert await setup.dispatcher.interrupt()
    await setup.listener.wait_finished("a")


async def test_an_interrupt_just_after_a_job_left_the_queue_hits_it(
    store: Store, setup: Dispatching
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


async def test_a_job_whose_worker_dies_of_an_interrupt_is_not_tried_again(
    setup: Dispatching,
) -> None:
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
