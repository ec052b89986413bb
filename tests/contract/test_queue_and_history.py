"""The rows about queue, history, interrupting and jobs that tests/server leaves open."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.server.conftest import Place
from tests.server.graphs import fresh_graph, release


def test_a_queue_item_has_five_parts(server: Client, busy: str) -> None:
    prompt = fresh_graph()
    waiting = server.submit(prompt, extra_data={"note": 1})
    items = {item[1]: item for item in server.get("/queue").json()["queue_pending"]}
    number, prompt_id, stored, extra, outputs = items[waiting]
    assert isinstance(number, int)
    assert (prompt_id, stored, outputs) == (waiting, prompt, ["2"])
    assert set(extra) == {"note", "client_id", "create_time"}
    release(server, busy)
    server.wait(waiting)


def test_an_empty_queue_is_two_empty_lists(server: Client) -> None:
    server.run(fresh_graph())
    assert server.get("/queue").body == b'{"queue_running":[],"queue_pending":[]}'
    assert server.get("/prompt").body == b'{"exec_info":{"queue_remaining":0}}'


@pytest.mark.parametrize("path", ["/queue", "/history"])
def test_clear_and_delete_may_come_together(server: Client, busy: str, path: str) -> None:
    waiting = server.submit(fresh_graph())
    reply = server.post(path, {"clear": True, "delete": [waiting, busy]})
    assert (reply.status, reply.body) == (200, b"{}")
    assert [item[1] for item in server.get("/queue").json()["queue_running"]] == [busy]
    release(server, busy)


def test_a_job_that_waits_or_runs_has_no_history(server: Client, busy: str) -> None:
    waiting = server.submit(fresh_graph())
    for prompt_id in (busy, waiting):
        assert server.get(f"/history/{prompt_id}").body == b"{}"
    release(server, busy)
    server.wait(waiting)


def test_the_history_is_ordered_oldest_first(server: Client) -> None:
    ids = [server.submit(fresh_graph()) for _ in range(3)]
    for prompt_id in ids:
        server.wait(prompt_id)
    assert list(server.get("/history").json())[-3:] == ids


def test_an_entry_says_where_its_outputs_stand(process_place: Place) -> None:
    entry = Client(process_place.address).run(fresh_graph())
    assert set(entry) == {"prompt", "outputs", "status", "meta"}
    assert entry["meta"] == {
        "2": {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}
    }


def test_an_interrupted_job_is_an_error_that_was_not_completed(server: Client, busy: str) -> None:
    release(server, busy)
    entry = server.history(busy)
    assert entry is not None
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    kind, told = entry["status"]["messages"][-1]
    assert kind == "execution_interrupted"
    assert {"prompt_id", "node_id", "node_type", "executed", "timestamp"} <= set(told)


@pytest.mark.parametrize("query", ["", "?status=", "?limit=5&offset=-3", "?sort_order=asc"])
def test_the_list_of_jobs_has_two_keys(server: Client, query: str) -> None:
    answer = server.get(f"/api/jobs{query}").json()
    assert list(answer) == ["jobs", "pagination"]
    assert set(answer["pagination"]) == {"offset", "limit", "total", "has_more"}


def test_an_unknown_state_is_named_with_those_that_are_known(server: Client) -> None:
    reply = server.get("/api/jobs?status=pending,lost")
    assert reply.status == 400
    error = reply.json()["error"]
    assert "lost" in error
    assert all(s in error for s in ("pending", "in_progress", "completed", "failed", "cancelled"))
