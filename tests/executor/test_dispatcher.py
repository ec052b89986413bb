"""The queue in motion: order, and what clients are told when."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from executor.jobs import Address, JobState
from executor.memory_worker import MemoryWorker, finished, succeed, wait_for_interrupt
from executor.messages import Execute, Log, Preview, Progress
from executor.store import Store
from tests.executor.conftest import make_job
from tests.executor.dispatching import Dispatching, saying, waiting_for
from tests.executor.listening import eventually


async def test_a_job_goes_to_the_worker_as_it_was_accepted(dispatching: Dispatching) -> None:
    await dispatching.start()
    job = make_job("a", client_id="modern", extra_data=b'{"extra_pnginfo":{"k":1}}')

    await dispatching.dispatcher.submit(job, {"API_KEY_COMFY_ORG": "secret"})
    await dispatching.listener.wait_finished("a")

    (command,) = dispatching.workers[0].executed
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


async def test_the_history_is_readable_when_the_end_is_announced(dispatching: Dispatching) -> None:
    await dispatching.start()
    reads: list[asyncio.Task[Any]] = []
    dispatching.listener.on_finish = lambda job: reads.append(
        asyncio.create_task(dispatching.store.finished_job(job.prompt_id))
    )

    for i in range(10):
        await dispatching.dispatcher.submit(make_job(str(i)))
    await dispatching.listener.wait_finished(*map(str, range(10)))

    assert all([await read for read in reads])


async def test_messages_of_one_job_after_another_keep_their_order(dispatching: Dispatching) -> None:
    await dispatching.start()
    said = saying(b"{}", succeed, "execution_success")
    dispatching.scripts = {"a": [said], "b": [saying(b"{}", said, "execution_start")]}
    go_on = asyncio.Event()
    dispatching.scripts["first"] = [waiting_for(go_on)]
    for prompt_id in ("first", "a", "b"):
        await dispatching.dispatcher.submit(
            make_job(prompt_id, dispatching.dispatcher.next_number())
        )
    dispatching.listener.told.clear()
    go_on.set()
    await dispatching.listener.wait_finished("b")

    assert dispatching.listener.told == [
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


async def test_the_finished_job_says_how_it_went(dispatching: Dispatching) -> None:
    await dispatching.start()
    await dispatching.dispatcher.submit(make_job("a", client_id="c"))
    await dispatching.listener.wait_finished("a")

    (job,) = dispatching.listener.finished
    assert job.state is JobState.SUCCEEDED
    assert (job.client_id, job.worker, job.attempts) == ("c", "worker-1", 1)
    assert job.started_at is not None and job.ended_at is not None


async def test_other_events_reach_the_listener(dispatching: Dispatching) -> None:
    async def talk(worker: MemoryWorker, command: Execute) -> None:
        worker.report(Preview(prompt_id="a", metadata={}, image=b"x", image_type="image/png"))
        worker.report(Progress(prompt_id="a", node_id="1", class_type="K", value=1, maximum=2))
        worker.report(Log(level=20, logger="x", message="hello"))
        worker.report(finished("a"))

    await dispatching.start()
    dispatching.scripts["a"] = [talk]
    await dispatching.dispatcher.submit(make_job("a", client_id="c"))
    await dispatching.listener.wait_finished("a")

    told = [what for what in dispatching.listener.told if what[0] in ("preview", "progress", "log")]
    assert told == [("preview", "c", b"x"), ("progress", "1"), ("log", "worker-1", "hello")]


async def test_jobs_run_in_the_order_of_the_queue(dispatching: Dispatching) -> None:
    await dispatching.start()
    go_on = asyncio.Event()
    dispatching.scripts["first"] = [waiting_for(go_on)]
    await dispatching.dispatcher.submit(make_job("first", 0))
    for prompt_id, number in [("c", 5), ("b", 2.5), ("front", -1), ("a", 5)]:
        await dispatching.dispatcher.submit(make_job(prompt_id, number))
    assert dispatching.dispatcher.queue_remaining == 5
    go_on.set()
    await dispatching.listener.wait_finished("c")

    assert dispatching.executed() == ["first", "front", "b", "a", "c"]
    assert dispatching.dispatcher.queue_remaining == 0


async def test_jobs_are_accepted_before_a_worker_is_ready(dispatching: Dispatching) -> None:
    await dispatching.start(are_ready=False)
    await dispatching.dispatcher.submit(make_job("a"))
    assert dispatching.executed() == []

    await eventually(lambda: dispatching.workers[0]._runner is not None)
    dispatching.workers[0].become_ready()
    await dispatching.listener.wait_finished("a")


async def test_two_workers_share_the_queue(dispatching: Dispatching) -> None:
    await dispatching.start(2)
    await eventually(lambda: all(slot.is_ready for slot in dispatching.pool.slots))
    go_on = asyncio.Event()
    dispatching.scripts = {"a": [waiting_for(go_on)], "b": [waiting_for(go_on)]}
    for prompt_id in ("a", "b"):
        await dispatching.dispatcher.submit(make_job(prompt_id))

    await eventually(lambda: len(dispatching.executed()) == 2)
    assert [len(worker.executed) for worker in dispatching.workers] == [1, 1]
    go_on.set()
    await dispatching.listener.wait_finished("a", "b")


async def test_the_worker_that_worked_last_is_preferred(dispatching: Dispatching) -> None:
    await dispatching.start(2)
    await eventually(lambda: all(slot.is_ready for slot in dispatching.pool.slots))
    for i in range(5):
        await dispatching.dispatcher.submit(make_job(str(i)))
        await dispatching.listener.wait_finished(str(i))

    assert sorted(len(worker.executed) for worker in dispatching.workers) == [0, 5]


async def test_numbers_count_up_from_zero(dispatching: Dispatching) -> None:
    await dispatching.start()

    assert [dispatching.dispatcher.next_number() for _ in range(3)] == [0, 1, 2]


async def test_a_restart_takes_up_the_queue_and_counts_on(
    store: Store, dispatching: Dispatching
) -> None:
    for prompt_id, number in [("b", 7), ("a", 3), ("front", -9)]:
        await store.add(make_job(prompt_id, number))

    await dispatching.start()
    await dispatching.listener.wait_finished("a", "b", "front")

    assert dispatching.executed() == ["front", "a", "b"]
    assert dispatching.workers[0].executed[0].outputs == ["2"]
    assert dispatching.dispatcher.next_number() == 10


async def test_free_goes_to_every_ready_worker(dispatching: Dispatching) -> None:
    await dispatching.start(2)
    await eventually(lambda: all(slot.is_ready for slot in dispatching.pool.slots))

    await dispatching.dispatcher.free(unload_models=True, free_memory=False)

    assert [worker.freed for worker in dispatching.workers] == [[(True, False)]] * 2


async def test_a_client_that_reconnects_learns_which_node_runs(dispatching: Dispatching) -> None:
    text = b'{"type":"executing","data":{"node":"1.0","display_node":"1","prompt_id":"a"}}'
    await dispatching.start()
    dispatching.scripts["a"] = [saying(text, wait_for_interrupt)]
    await dispatching.dispatcher.submit(make_job("a", client_id="c"))
    await dispatching.listener.wait_for(lambda: bool(dispatching.listener.emitted))

    snapshot = dispatching.dispatcher.running_for(Address("c"))
    assert snapshot is not None and snapshot.node_id == "1"
    assert snapshot.progress_state is None
    assert dispatching.dispatcher.running_for(Address("other")) is None


async def test_a_client_that_reconnects_learns_the_state_of_all_nodes(
    dispatching: Dispatching,
) -> None:
    first, last = (b'{"type":"progress_state","data":{"nodes":{"1":%d}}}' % i for i in range(2))
    then = saying(first, saying(last, wait_for_interrupt, "progress_state"), "progress_state")
    executing = b'{"type":"executing","data":{"node":"1.0","display_node":"1"}}'
    dispatching.scripts["a"] = [saying(executing, then)]
    await dispatching.start()
    await dispatching.dispatcher.submit(make_job("a", client_id="c"))
    await dispatching.listener.wait_for(lambda: len(dispatching.listener.emitted) == 3)

    snapshot = dispatching.dispatcher.running_for(Address("c"))

    assert snapshot is not None and snapshot.node_id == "1"
    assert snapshot.progress_state is not None and snapshot.progress_state.text == last


async def test_stopping_puts_the_running_job_back_without_counting_it(
    store: Store, dispatching: Dispatching
) -> None:
    await dispatching.start()
    dispatching.scripts["a"] = [wait_for_interrupt]
    job = await dispatching.dispatcher.submit(make_job("a", 0))
    await dispatching.dispatcher.submit(make_job("b", 1))
    await eventually(lambda: dispatching.executed() == ["a"])

    await dispatching.dispatcher.stop(0.1)

    stored = await store.job(job.sequence)
    assert stored is not None
    assert (stored.state, stored.attempts) == (JobState.QUEUED, 0)
    assert [key[1] for key in await store.waiting()] == ["a", "b"]
    assert dispatching.listener.finished == []


async def test_a_job_on_disk_gets_in_line_although_its_client_left(
    dispatching: Dispatching,
) -> None:
    await dispatching.start()
    task = asyncio.create_task(dispatching.dispatcher.submit(make_job("a")))
    await asyncio.sleep(0)
    task.cancel()

    await dispatching.listener.wait_finished("a")
