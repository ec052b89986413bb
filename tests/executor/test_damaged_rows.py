"""Records that are damaged: the others are listed as before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from executor.jobs import JobSelection, JobState, Result
from executor.store import PAGE, Store
from tests.executor.conftest import make_job
from tests.executor.dispatching import Dispatching

BIG = b'{"1":{"text":["' + b"x" * 20_000 + b'"]}}'
RESULT = Result(state=JobState.SUCCEEDED, outputs=BIG, messages=b'[["a",{}]]')


async def add(store: Store, *prompt_ids: str) -> None:
    for prompt_id in prompt_ids:
        job = await store.add(make_job(prompt_id))
        await store.start(job.sequence, "worker-1")
        await store.finish(job, RESULT)


def change(tmp_path: Path, statement: str, *values: object) -> None:
    """As another program would."""
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as other, other:
        assert other.execute(statement, values).rowcount == 1


async def history_ids(store: Store) -> list[str]:
    return [entry.job.prompt_id async for page in store.history() for entry in page]


async def listed_ids(store: Store) -> list[str]:
    selected = await store.select(JobSelection(states=frozenset(JobState), descending=False))
    return [job.prompt_id async for page in store.overviews(selected) for job in page]


def damage_an_overflow_page(path: Path) -> None:
    """One that holds nothing but a piece of one job's outputs."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((size,),) = other.execute("PRAGMA page_size").fetchall()
    with path.open("r+b") as file:
        pages = iter(lambda: file.read(size), b"")
        found = [number for number, page in enumerate(pages) if page[4:-4] == b"x" * (size - 8)]
        file.seek(found[20] * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("text", ["no JSON", "{", b"\xff\xfe broken UTF-8"])
@pytest.mark.parametrize(
    "column", ["prompt", "extra_data", "outputs_to_execute", "outputs", "meta", "messages"]
)
async def test_a_damaged_document_is_shown_as_an_empty_one(
    store: Store, tmp_path: Path, column: str, text: str | bytes
) -> None:
    await add(store, "a", "b", "c")
    table = "job_requests" if column in ("prompt", "extra_data", "outputs_to_execute") else None
    statement = f"update {table or 'job_results'} set {column} = cast(? as text) where sequence = 2"
    change(tmp_path, statement, text)

    assert await history_ids(store) == ["a", "b", "c"]
    assert await listed_ids(store) == ["a", "b", "c"]
    entry = await store.finished_job("b")
    record = await store.record("b")
    assert entry is not None and record is not None and record.result == entry.result
    assert record.job == entry.job and entry.job.is_damaged
    documents = {
        "prompt": entry.job.prompt,
        "extra_data": entry.job.extra_data,
        "outputs_to_execute": msgspec.json.encode(entry.job.outputs_to_execute),
        "outputs": entry.result.outputs,
        "meta": entry.result.meta,
        "messages": entry.result.messages,
    }
    is_list = column in ("outputs_to_execute", "messages")
    assert documents.pop(column) == (b"[]" if is_list else b"{}")
    assert not {b"[]", b"{}"} & {documents[name] for name in documents if name != "meta"}


async def test_a_damaged_page_costs_one_record_its_document(store: Store, tmp_path: Path) -> None:
    await add(store, *(f"{number:03}" for number in range(PAGE + 2)))
    damage_an_overflow_page(tmp_path / "jobs.db")

    ids = [f"{number:03}" for number in range(PAGE + 2)]
    assert await history_ids(store) == ids
    assert await listed_ids(store) == ids


async def test_a_job_in_a_state_that_there_is_not_is_left_out(store: Store, tmp_path: Path) -> None:
    await add(store, "a", "b")
    change(tmp_path, "update jobs set state = 'succXXded' where prompt_id = 'a'")
    assert await listed_ids(store) == ["b"]
    assert await history_ids(store) == ["b"]
    assert await store.record("a") is None


async def test_numbers_that_json_does_not_have_are_no_damage(store: Store) -> None:
    await store.add(make_job("a", prompt=b'{"1":{"inputs":{"x":NaN}}}'))
    _, (job,) = await store.queue()
    assert job.prompt == b'{"1":{"inputs":{"x":NaN}}}' and not job.is_damaged


async def test_a_waiting_job_whose_graph_is_lost_fails_with_the_reason(
    dispatching: Dispatching, tmp_path: Path
) -> None:
    await dispatching.store.add(make_job("a"))
    await dispatching.store.add(make_job("b", 1))
    change(tmp_path, "update job_requests set prompt = '{' where sequence = 1")
    await dispatching.start()
    await dispatching.listener.wait_finished("a", "b")
    states = {job.prompt_id: job.state for job in dispatching.listener.finished}
    assert states == {"a": JobState.FAILED, "b": JobState.SUCCEEDED}
    assert "damaged" in str((await dispatching.history_messages("a"))[-1])
