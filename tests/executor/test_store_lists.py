"""Lists of jobs: which there are, in which order, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from executor.jobs import JobSelection, JobState, Result
from executor.store import PAGE, Store
from tests.executor.conftest import make_job

# id -> ms that it took, workflow, end
JOBS = {
    "a": (30, "w", JobState.SUCCEEDED),
    "b": (10, "w", JobState.FAILED),
    "c": (40, "x", JobState.SUCCEEDED),
    "d": (20, "w", JobState.SUCCEEDED),
}


@pytest.fixture
async def filled(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    for at, (prompt_id, (taken, workflow, state)) in enumerate(JOBS.items()):
        job = await store.add(make_job(prompt_id, created_at=at, workflow_id=workflow))
        monkeypatch.setattr("executor.store.now_ms", lambda: 1000)
        await store.start(job.sequence, "worker-1")
        monkeypatch.setattr("executor.store.now_ms", lambda taken=taken: 1000 + taken)
        await store.finish(job, Result(state=state))
    return store


async def listed(store: Store, **asked: Any) -> tuple[str, int]:
    states = frozenset(asked.pop("states", JobState))
    selected = await store.select(JobSelection(states=states, **asked))
    pages = [page async for page in store.overviews(selected)]
    return "".join(job.prompt_id for page in pages for job in page), selected.total


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ("dcba", 4)),
        ({"descending": False, "offset": 1, "limit": 2}, ("bc", 4)),
        ({"by_duration": True}, ("cadb", 4)),
        ({"by_duration": True, "offset": 3}, ("b", 4)),
        ({"by_duration": True, "workflow_id": "w", "descending": False}, ("bda", 3)),
        ({"states": [JobState.FAILED]}, ("b", 1)),
        ({"states": [JobState.FAILED], "by_duration": True, "workflow_id": "x"}, ("", 0)),
        ({"states": [JobState.SUCCEEDED], "workflow_id": "w", "limit": 1}, ("d", 2)),
        ({"offset": 9}, ("", 4)),
    ],
)
async def test_jobs_are_listed_by_creation_or_duration(
    filled: Store, asked: dict[str, Any], expected: tuple[str, int]
) -> None:
    assert await listed(filled, **asked) == expected


async def test_a_list_of_many_pages_comes_whole_and_without_deleted_jobs(store: Store) -> None:
    for number in range(PAGE + 2):
        job = await store.add(make_job(f"{number:03}", created_at=number))
        await store.start(job.sequence, "worker-1")
        await store.finish(job, Result(state=JobState.SUCCEEDED))
    selected = await store.select(JobSelection(states=frozenset(JobState)))
    pages = store.overviews(selected)
    assert len(await anext(pages)) == PAGE
    await store.delete_history(["000"])
    assert [[job.prompt_id for job in page] async for page in pages] == [["001"]]


async def test_pages_are_bounded_by_size_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.damaged_rows.PAGE_SIZE", 5000)
    monkeypatch.setattr("executor.store.PAGE_SIZE", 5000)
    big = b'{"1":"' + b"x" * 3000 + b'"}'
    for number in range(5):
        job = await store.add(make_job(f"done {number}", extra_data=big))
        await store.start(job.sequence, "worker-1")
        await store.finish(job, Result(state=JobState.SUCCEEDED))
        await store.add(make_job(f"waiting {number}", number, extra_data=big))

    pages = [page async for page in store.history()]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [entry.job.prompt_id[-1] for page in pages for entry in page] == list("01234")
    some = [page async for page in store.history(max_items=3, offset=1)]
    assert [entry.job.prompt_id[-1] for page in some for entry in page] == list("123")
    _, first = await store.queue()
    waiting = [first, *[page async for page in store.queued_after(first)]]
    assert [len(page) for page in waiting if page] == [2, 2, 1]
    assert [job.prompt_id[-1] for page in waiting for job in page] == list("01234")
