"""Tests of this folder that take `server` run on the twin; those of jobs and sockets run on a real
process as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.client import Client, wait_until
from tests.conftest import ServerProcess
from tests.server.graphs import slow_graph
from tests.server.twin import running_twin


@dataclass(frozen=True)
class Place:
    """A running server: where it answers and where its files are."""

    address: str
    base: Path


@pytest.fixture(scope="session")
def twin_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("twin")
    with running_twin(base) as client:
        yield Place(client.address, base)


@pytest.fixture(scope="session")
def process_place(server_process: ServerProcess) -> Place:
    return Place(server_process.address, server_process.base)


@pytest.fixture
def place(twin_place: Place) -> Place:
    """The server of this folder's tests."""
    return twin_place


@pytest.fixture
def server(place: Place) -> Client:
    """A client of that server, with a client id of its own."""
    return Client(place.address)


@pytest.fixture
def new_twin(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Starts twins of this test's own: `new_twin(cors_origin="*")`."""
    with ExitStack() as stack:
        count = 0

        def start(**settings: object) -> Client:
            nonlocal count
            count += 1
            return stack.enter_context(running_twin(tmp_path / f"twin{count}", **settings))

        yield start


@pytest.fixture
def busy(server: Client) -> str:
    """The prompt id of a job that runs; what is submitted next waits behind it."""
    prompt_id = server.submit(slow_graph(240))
    wait_until(
        lambda: server.get("/queue").json()["queue_running"], what="the slow job has started"
    )
    return prompt_id
