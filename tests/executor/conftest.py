"""What the tests of the executor's server side share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from executor.jobs import Job
from executor.store import Store
from tests.executor.dispatching import Dispatching
from tests.executor.graphs import Validator


def make_job(prompt_id: str, number: int | float = 0, **changes: object) -> Job:
    """A job that is not stored yet."""
    fields: dict[str, object] = {
        "prompt_id": prompt_id,
        "number": number,
        "prompt": b'{"2":{"class_type":"Show","inputs":{}},"1":{"class_type":"Make","inputs":{}}}',
        "extra_data": b'{"create_time":5}',
        "outputs_to_execute": ("2",),
        "created_at": 5,
    }
    return Job(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url, history_limit=100)
    yield store
    await store.close()


@pytest.fixture
def validate(tmp_path: Path) -> Validator:
    return Validator(tmp_path)


@pytest.fixture
async def dispatching(store: Store) -> AsyncIterator[Dispatching]:
    dispatching = Dispatching(store)
    yield dispatching
    await dispatching.dispatcher.stop(0.1)
