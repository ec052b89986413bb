"""The durable queue and history."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from executor import statements
from executor.database_engine import StoreError, StoreInUse
from executor.jobs import (
    Address,
    FinishedJob,
    Job,
    JobSelection,
    JobState,
    PromptIdTaken,
    Result,
)
from executor.schema import bring_up_to_date
from executor.store import PAGE, Store, now_ms
from tests.executor.conftest import make_job

SUCCESS = Result(state=JobState.SUCCEEDED, outputs=b'{"2":{}}', meta=b"{}", messages=b"[]")


@pytest.fixture(params=["file", "memory"])
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Both kinds of SQLite database keep the same promises."""
    url = f"sqlite:///{tmp_path / 'any.db'}" if request.param == "file" else "sqlite:///:memory:"
    store = await Store.open(url, history_limit=100)
    yield store
    await store.close()


async def run(store: Store, job: Job, result: Result = SUCCESS) -> Job:
    """Take a job through to its end."""
    stored = await store.add(job)
    assert await store.start(stored.sequence, "worker-1")
    assert await store.finish(stored, result)
    return stored


async def history_ids(store: Store, **paging: Any) -> list[str]:
    pages = [page async for page in store.history(**paging)]
    return [finished.job.prompt_id for page in pages for finished in page]


async def queued(store: Store) -> list[Job]:
    _, page = await store.queue()
    return [*page, *[job async for further in store.queued_after(page) for job in further]]


async def queued_ids(store: Store) -> list[str]:
    return [job.prompt_id for job in await queued(store)]


async def entry(store: Store, prompt_id: str) -> FinishedJob:
    finished = await store.finished_job(prompt_id)
    assert finished is not None
    return finished


async def test_a_job_is_kept_as_it_was_accepted(any_store: Store) -> None:
    job = make_job("a", 7, client_id="c", prompt=b'{"b": 1,  "a": [NaN]}')

    stored = await any_store.add(job)

    assert await any_store.job(stored.sequence) == stored
    assert stored.prompt == b'{"b": 1,  "a": [NaN]}'
    assert stored.sequence > 0


async def test_numbers_from_the_counter_stay_whole_and_given_ones_stay_floats(
    store: Store,
) -> None:
    await store.add(make_job("counted", 3))
    await store.add(make_job("given", 3.0))

    jobs = await queued(store)

    assert [type(job.number) for job in jobs] == [int, float]


async def test_a_number_that_is_not_finite_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="finite"):
        await store.add(make_job("a", math.nan))


async def test_the_queue_is_ordered_by_number_then_by_prompt_id(any_store: Store) -> None:
    for prompt_id, number in [("c", 1), ("a", 1), ("late", 2), ("front", -3), ("b", 1.0)]:
        await any_store.add(make_job(prompt_id, number))

    assert await queued_ids(any_store) == ["front", "a", "b", "c", "late"]
    assert [key[1] for key in await any_store.waiting()] == ["front", "a", "b", "c", "late"]


async def test_a_queue_of_many_pages_comes_whole_and_in_order(store: Store) -> None:
    count = 2 * PAGE + 1
    await asyncio.gather(*(store.add(make_job(f"{i:04}", i // 50)) for i in range(count)))

    assert await queued_ids(store) == [f"{i:04}" for i in range(count)]


async def test_only_one_of_two_starts_makes_the_change(any_store: Store) -> None:
    job = await any_store.add(make_job("a"))

    changes = await asyncio.gather(
        any_store.start(job.sequence, "one"), any_store.start(job.sequence, "two")
    )

    assert list(changes) == [True, False]
    (running,), _ = await any_store.queue()
    assert (running.worker, running.attempts, running.state) == ("one", 1, JobState.RUNNING)
    assert running.started_at is not None


async def test_only_one_of_cancel_and_start_makes_the_change(store: Store) -> None:
    job = await store.add(make_job("a"))

    assert await store.cancel([job.sequence]) == [("a", Address(None))]
    assert not await store.start(job.sequence, "worker-1")
    assert await store.cancel([job.sequence]) == []


async def test_a_cancelled_job_is_kept_but_neither_waits_nor_is_history(store: Store) -> None:
    job = await store.add(make_job("a"))

    await store.cancel([job.sequence])

    kept = await store.job(job.sequence)
    assert kept is not None and kept.state is JobState.CANCELLED and kept.ended_at is not None
    assert await queued_ids(store) == []
    assert await history_ids(store) == []


async def test_a_finished_job_is_history_at_once(any_store: Store) -> None:
    result = Result(
        state=JobState.FAILED,
        outputs=b'{"9":{"images":[]}}',
        meta=b'{"9":{"node_id":"9"}}',
        messages=b'[["execution_error",{}]]',
        error="boom",
    )

    job = await run(any_store, make_job("a"), result)

    finished = await entry(any_store, "a")
    assert finished.result == result
    assert finished.job.sequence == job.sequence
    assert finished.job.state is JobState.FAILED
    assert finished.job.ended_at is not None
    assert (await any_store.queue())[0] == []


async def test_a_job_that_waits_or_runs_has_no_history_entry(store: Store) -> None:
    job = await store.add(make_job("a"))
    assert await store.finished_job("a") is None
    await store.start(job.sequence, "worker-1")
    assert await store.finished_job("a") is None


async def test_a_job_cannot_finish_twice(store: Store) -> None:
    job = await run(store, make_job("a"))

    assert not await store.finish(job, Result(state=JobState.FAILED))
    assert (await entry(store, "a")).result.state is JobState.SUCCEEDED


async def test_an_id_is_taken_until_its_job_is_deleted(any_store: Store) -> None:
    first = await run(any_store, make_job("a"))

    with pytest.raises(PromptIdTaken, match="'a'"):
        await any_store.add(make_job("a", prompt=b'{"second":{}}'))
    assert (await entry(any_store, "a")).job.sequence == first.sequence

    await any_store.delete_history(["a"])
    await any_store.add(make_job("a"))
    assert await queued_ids(any_store) == ["a"]


async def test_of_jobs_with_one_id_that_come_together_the_first_is_accepted(
    any_store: Store,
) -> None:
    jobs = [make_job(prompt_id, number) for number, prompt_id in enumerate("abacab")]

    added = await asyncio.gather(*map(any_store.add, jobs), return_exceptions=True)

    assert [isinstance(one, PromptIdTaken) for one in added] == [
        *(False, False, True, False, True, True)
    ]
    assert [(job.prompt_id, job.number) for job in await queued(any_store)] == [
        *(("a", 0), ("b", 1), ("c", 3))
    ]


@pytest.mark.parametrize(
    ("paging", "expected"),
    [
        ({}, "abcde"),
        ({"max_items": 2}, "de"),
        ({"max_items": 2, "offset": -1}, "de"),
        ({"max_items": 2, "offset": 0}, "ab"),
        ({"max_items": 2, "offset": 3}, "de"),
        ({"max_items": 9, "offset": 3}, "de"),
        ({"max_items": 9}, "abcde"),
        ({"offset": 2}, "cde"),
        ({"offset": 5}, ""),
        ({"max_items": 0}, ""),
        ({"max_items": 0, "offset": 0}, ""),
    ],
)
async def test_history_pages_from_the_oldest_or_gives_the_newest(
    store: Store, paging: dict[str, int], expected: str
) -> None:
    for prompt_id in "abcde":
        await run(store, make_job(prompt_id))

    assert await history_ids(store, **paging) == list(expected)


async def test_a_history_of_many_pages_comes_whole(database_url: str) -> None:
    count = 2 * PAGE + 5
    store = await Store.open(database_url, history_limit=1000)
    for i in range(count):
        await run(store, make_job(str(i)))

    assert await history_ids(store) == [str(i) for i in range(count)]
    assert await history_ids(store, max_items=PAGE + 3) == [
        str(i) for i in range(count - PAGE - 3, count)
    ]
    await store.close()


async def test_history_is_ordered_by_end_not_by_acceptance(store: Store) -> None:
    first, second = await store.add(make_job("first")), await store.add(make_job("second"))
    for job in (second, first):
        await store.start(job.sequence, "worker-1")
        await store.finish(job, SUCCESS)

    assert await history_ids(store) == ["second", "first"]


async def test_the_oldest_ended_jobs_make_room(database_url: str) -> None:
    store = await Store.open(database_url, history_limit=3)
    for prompt_id in "abcd":
        await run(store, make_job(prompt_id))
    cancelled = await store.add(make_job("x"))
    await store.cancel([cancelled.sequence])

    assert await history_ids(store) == ["c", "d"]
    assert await store.job(cancelled.sequence) is not None
    await store.close()


async def test_jobs_that_ended_long_ago_make_room(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(database_url, history_limit=3, history_days=2)
    waiting = await store.add(make_job("waiting"))
    await run(store, make_job("old"))
    later = now_ms() + 3 * 86_400_000
    monkeypatch.setattr("executor.store.now_ms", lambda: later)
    for prompt_id in "abcd":
        await run(store, make_job(prompt_id))
        assert "old" not in await history_ids(store)

    assert await history_ids(store) == ["b", "c", "d"]
    assert await queued_ids(store) == [waiting.prompt_id]
    await store.close()


async def test_jobs_of_more_than_so_many_bytes_make_room(database_url: str) -> None:
    big = dataclasses.replace(SUCCESS, outputs=b'{"1":"' + b"x" * 10_000 + b'"}')
    store = await Store.open(database_url, history_bytes=25_000)
    for prompt_id in "abc":
        await run(store, make_job(prompt_id), big)
    assert await history_ids(store) == ["b", "c"]
    for number in range(40):  # 40 kB of cancelled jobs: they count, too
        waiting = await store.add(make_job(f"cancelled {number}", extra_data=b"x" * 1000))
        await store.cancel([waiting.sequence])
    assert await history_ids(store) == []
    huge = dataclasses.replace(SUCCESS, outputs=b'{"1":"' + b"x" * 100_000 + b'"}')
    await run(store, make_job("huge"), huge)
    assert await history_ids(store) == ["huge"]  # larger than all that is kept, and the newest
    assert await store.record("cancelled 39") is None
    await store.delete_history(["huge"])
    await run(store, make_job("a"), big)
    await run(store, make_job("b"), big)
    await store.close()

    store = await Store.open(database_url, history_bytes=15_000)
    assert await history_ids(store) == ["b"]
    await store.close()


async def test_what_was_undone_does_not_count_as_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or writes that are tried again and again would push all others out of the history."""
    monkeypatch.setattr("executor.database_engine.BUSY_WAIT_MS", 10)
    monkeypatch.setattr("executor.database.RETRY_S", 0.01)
    store = await Store.open(f"sqlite:///{tmp_path / 'x.db'}", history_limit=3)
    await run(store, make_job("a"))
    last = await store.add(make_job("b"))
    await store.start(last.sequence, "worker-1")
    tries = 0

    def fail_often(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries < 10:
            full = sqlite3.OperationalError("database or disk is full")
            raise sa.exc.OperationalError("COMMIT", {}, full)

    sa.event.listen(store._database._engine, "commit", fail_often)
    assert await store.finish(last, SUCCESS)
    await run(store, make_job("c"))

    assert tries >= 10
    assert await history_ids(store) == ["a", "b", "c"]
    await store.close()


async def test_deleting_history_spares_other_jobs(any_store: Store) -> None:
    for prompt_id in "abc":
        await run(any_store, make_job(prompt_id))
    await any_store.add(make_job("d"))

    assert await any_store.delete_history(["b", "d", "unknown"]) == 1
    assert await history_ids(any_store) == ["a", "c"]
    assert await queued_ids(any_store) == ["d"]

    assert await any_store.clear_history() == 2
    assert await history_ids(any_store) == []
    assert await queued_ids(any_store) == ["d"]


async def test_a_job_put_back_waits_again_and_may_keep_its_count(store: Store) -> None:
    job = await store.add(make_job("a"))

    for count_attempt, attempts in [(True, 1), (False, 1), (True, 2)]:
        await store.start(job.sequence, "worker-1")
        assert await store.put_back(job.sequence, count_attempt=count_attempt)
        stored = await store.job(job.sequence)
        assert stored is not None
        assert (stored.state, stored.worker) == (JobState.QUEUED, None)
        assert stored.attempts == attempts


async def test_a_new_store_on_the_file_goes_on_where_the_last_one_died(database_url: str) -> None:
    store = await Store.open(database_url)
    done = await run(store, make_job("done", 0))
    running = await store.add(make_job("running", 1))
    waiting = await store.add(make_job("waiting", 2, client_id="c"))
    await store.start(running.sequence, "worker-1")
    await store.close()

    store = await Store.open(database_url)

    assert await queued_ids(store) == ["running", "waiting"]
    assert (await store.queue())[0] == []
    again = await store.job(running.sequence)
    assert again is not None and again.attempts == 1
    assert await store.job(waiting.sequence) == waiting
    assert await history_ids(store) == ["done"]
    assert (await entry(store, "done")).job.sequence == done.sequence
    added = await store.add(make_job("new"))
    assert added.sequence > waiting.sequence
    await store.close()


async def test_the_largest_waiting_number_counts_automatic_ones_only(store: Store) -> None:
    assert await store.largest_waiting_number() is None
    for prompt_id, number in [("a", 4), ("front", -6), ("given", 99.0)]:
        await store.add(make_job(prompt_id, number))

    assert await store.largest_waiting_number() == 6


async def test_two_servers_cannot_have_one_database(database_url: str, store: Store) -> None:
    with pytest.raises(StoreInUse, match="another server"):
        await Store.open(database_url)


@pytest.mark.parametrize("url", ["no url", "nosuchdatabase://x"])
async def test_an_address_that_means_nothing_is_a_clear_error(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        await Store.open(url)


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_text("this is text, and long enough to be looked at" * 50)

    with pytest.raises(StoreError, match="not a database"):
        await Store.open(f"sqlite:///{path}")


async def test_missing_folders_of_the_database_are_made(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'deep' / 'er' / 'jobs.db'}")
    await store.add(make_job("a"))
    await store.close()

    assert (tmp_path / "deep" / "er" / "jobs.db").is_file()


async def test_closing_twice_is_fine_and_commits_what_is_pending(database_url: str) -> None:
    store = await Store.open(database_url)
    job = await store.add(make_job("a"))
    store.start(job.sequence, "worker-1")
    store.put_back(job.sequence, count_attempt=True)
    await store.close()
    await store.close()

    store = await Store.open(database_url)
    stored = await store.job(job.sequence)
    assert stored is not None and stored.attempts == 1
    await store.close()


async def test_jobs_of_one_owner_are_found_among_those_of_others(any_store: Store) -> None:
    owners = ["ann", "bob", None]
    for number in range(60):
        owner = owners[number % 3]
        await run(any_store, make_job(f"ended {number}", number, owner=owner))
        await any_store.add(make_job(f"waits {number}", number, owner=owner))
    for index, owner in enumerate(owners[:2]):
        ended = [f"ended {number}" for number in range(index, 60, 3)]
        assert await history_ids(any_store, owner=owner) == ended
        assert await history_ids(any_store, owner=owner, max_items=5) == ended[-5:]
        assert await history_ids(any_store, owner=owner, offset=3, max_items=5) == ended[3:8]
        assert await history_ids(any_store, owner=owner, offset=20) == []
        _, page = await any_store.queue(owner)
        assert [job.prompt_id for job in page] == [f"waits {n}" for n in range(index, 60, 3)]
        selected = await any_store.select(JobSelection(states=frozenset(JobState), owner=owner))
        assert (len(selected.sequences), selected.total) == (40, 40)
    assert len(await history_ids(any_store)) == 60


async def test_only_the_owner_is_shown_a_job_and_can_delete_it(any_store: Store) -> None:
    await run(any_store, make_job("a", 1, owner="ann"))
    assert await any_store.finished_job("a", "bob") is None
    assert await any_store.record("a", "bob") is None
    assert await any_store.delete_history(["a"], "bob") == 0
    assert await any_store.clear_history("bob") == 0
    assert await any_store.finished_job("a", "ann") is not None
    assert await any_store.record("a", "ann") is not None
    assert await any_store.delete_history(["a"], "ann") == 1


def test_pages_of_one_owner_are_found_in_an_index() -> None:
    engine = sa.create_engine("sqlite://")
    values = {"of_owner": "ann", "after_place": 1, "how_many": 64, "skip": 3}
    with engine.begin() as connection:
        bring_up_to_date(connection)

        def plan(statement: sa.Select[Any]) -> str:
            sent: list[tuple[str, Any]] = []
            listener = (
                "before_cursor_execute",
                lambda _c, _k, text, given, *_: sent.append((text, given)),
            )
            sa.event.listen(engine, *listener)
            connection.execute(statement, values)
            sa.event.remove(engine, *listener)
            ((text, given),) = sent
            return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given).all())

        for statement in (statements.next_history, statements.place_from_newest):
            assert "jobs_by_owner_and_place" in plan(statements.owned(statement))
        newest = statements.selected_sequences(
            frozenset(JobState), of_workflow=False, by_duration=False, descending=True
        )
        assert "COVERING INDEX jobs_by_owner " in plan(statements.owned(newest))
    engine.dispose()
