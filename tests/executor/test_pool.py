"""Workers are kept running, and answer questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from executor.memory_worker import MemoryWorker
from executor.messages import Event, Loading
from executor.pool import Pool, Slot
from executor.worker_interface import CallFailed
from tests.executor.listening import DEADLINE_S, eventually


class Owner:
    """Notes what the pool reports."""

    def __init__(self) -> None:
        self.lost: list[tuple[str, str]] = []

    async def on_event(self, slot: Slot, event: Event) -> None:
        pass

    async def on_lost(self, slot: Slot, reason: str) -> None:
        self.lost.append((slot.name, reason))


class Setup:
    def __init__(self) -> None:
        self.owner = Owner()
        self.made: list[MemoryWorker] = []
        self.pool = Pool(self._make, 2, backoff_s=0.001)

    def _make(self, name: str) -> MemoryWorker:
        answers = {"name": lambda arguments: [name, arguments]}
        self.made.append(MemoryWorker(name, answers=answers, is_ready_at_once=False))
        return self.made[-1]

    async def until(self, count: int) -> MemoryWorker:
        """The worker made as number `count`, when it has started."""
        await eventually(
            lambda: len(self.made) >= count and self.made[count - 1]._runner is not None
        )
        return self.made[count - 1]


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    setup = Setup()
    setup.pool.start(setup.owner)
    yield setup
    await setup.pool.stop(0.1)


async def test_questions_wait_for_the_first_worker(setup: Setup) -> None:
    question = asyncio.create_task(
        setup.pool.call("name", {"x": 1}, wait_s=DEADLINE_S, answer_s=DEADLINE_S)
    )
    (await setup.until(2)).become_ready()

    assert await question == ["worker-2", {"x": 1}]


async def test_an_idle_worker_answers_rather_than_a_busy_one(setup: Setup) -> None:
    for count in (1, 2):
        (await setup.until(count)).become_ready()
    await eventually(lambda: all(slot.is_ready for slot in setup.pool.slots))
    setup.pool.slots[0].is_busy = True

    assert (await setup.pool.call("name", {}, wait_s=DEADLINE_S, answer_s=DEADLINE_S))[
        0
    ] == "worker-2"


async def test_a_question_that_nobody_can_answer_in_time_is_given_up(setup: Setup) -> None:
    with pytest.raises(TimeoutError):
        await setup.pool.call("name", {}, wait_s=0.01, answer_s=DEADLINE_S)


async def test_an_unknown_question_is_an_error(setup: Setup) -> None:
    (await setup.until(1)).become_ready()

    with pytest.raises(CallFailed, match="unknown call"):
        await setup.pool.call("nonsense", {}, wait_s=DEADLINE_S, answer_s=DEADLINE_S)


async def test_a_lost_worker_is_replaced_in_its_place(setup: Setup) -> None:
    worker = await setup.until(1)
    await setup.until(2)
    worker.lose("crashed")
    successor = await setup.until(3)

    assert successor.name == "worker-1"
    assert setup.owner.lost == [("worker-1", "worker 'worker-1' crashed")]
    assert setup.pool.slots[0].worker is successor


async def test_a_worker_that_cannot_start_is_tried_again_and_again(setup: Setup) -> None:
    await setup.until(2)
    told: list[str] = []
    setup.pool.on_failing = told.append
    for count in (1, 3, 4, 5):
        (await setup.until(count)).lose("crashed")

    await setup.until(6)
    assert len(setup.owner.lost) == 4
    assert told == 2 * ["worker 'worker-1' crashed"]


async def test_a_worker_gets_a_successor_although_what_it_had_cannot_be_taken_back(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(slot: Slot, reason: str) -> None:
        raise RuntimeError("no room")

    setup.owner.on_lost = fail  # type: ignore[method-assign]
    await setup.until(2)
    (await setup.until(1)).lose("crashed")
    await setup.until(3)
    assert "no room" in caplog.text


async def test_the_pool_knows_what_its_workers_told(setup: Setup) -> None:
    assert setup.pool.devices == []
    assert setup.pool.versions == {}
    for count in (1, 2):
        (await setup.until(count)).become_ready()
    await setup.pool.wait_ready(DEADLINE_S)
    await eventually(lambda: len(setup.pool.devices) == 2)

    assert [device["name"] for device in setup.pool.devices] == ["worker-1", "worker-2"]
    assert setup.pool.versions == {"torch": "0"}


async def test_stopping_ends_all_workers_and_replaces_none(setup: Setup) -> None:
    await setup.until(2)

    await setup.pool.stop(0.1)
    await setup.pool.stop(0.1)

    assert len(setup.made) == 2
    assert setup.owner.lost == []


async def test_the_pack_that_was_being_loaded_is_left_out_by_all_later_workers(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await setup.until(2)
    worker.report(Loading(pack="good"))
    worker.report(Loading(pack="bad"))
    worker.lose("crashed")

    successor = await setup.until(3)
    assert successor.left_out == {"bad": "importing it ended the worker: worker 'worker-2' crashed"}
    assert "node pack 'bad' is left out" in caplog.text
    setup.made[0].lose("crashed")  # the other worker; no pack is to blame for that
    assert (await setup.until(4)).left_out == successor.left_out


async def test_a_pack_is_left_out_only_if_workers_are_killed_in_its_import_twice(
    setup: Setup,
) -> None:
    first = await setup.until(2)
    first.report(Loading(pack="large"))
    first.lose("was killed", is_own_fault=False)
    second = await setup.until(3)
    assert second.left_out == {}
    second.report(Loading(pack="large"))
    second.lose("was killed", is_own_fault=False)
    assert list((await setup.until(4)).left_out) == ["large"]


async def test_no_pack_is_blamed_once_all_are_loaded(setup: Setup) -> None:
    worker = await setup.until(1)
    worker.report(Loading(pack="good"))
    worker.report(Loading(pack=None))
    worker.become_ready()
    worker.lose("crashed")
    assert (await setup.until(3)).left_out == {}


async def test_packs_are_served_by_a_worker_that_is_up(setup: Setup) -> None:
    assert setup.pool.site is None
    worker = await setup.until(2)
    worker._site = "/run/packs.sock"
    worker.become_ready()
    await eventually(lambda: setup.pool.site == "/run/packs.sock")
    worker.lose("crashed")
    await eventually(lambda: setup.pool.site is None)
