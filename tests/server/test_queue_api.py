"""Submitting, watching and removing jobs by the old routes, on the twin and on a real server."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from tests.client import Client
from tests.server.conftest import Place
from tests.server.graphs import fresh_graph, graph, release


@pytest.fixture(params=["twin_place", "process_place"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def pending(server: Client) -> list[str]:
    return [item[1] for item in server.get("/queue").json()["queue_pending"]]


def test_the_answer_names_the_job_and_its_number(server: Client) -> None:
    first, second = (server.post("/prompt", {"prompt": fresh_graph()}).json() for _ in range(2))
    assert set(first) == {"prompt_id", "number", "node_errors"}
    assert uuid.UUID(first["prompt_id"])
    assert isinstance(first["number"], int)
    assert second["number"] == first["number"] + 1
    assert first["node_errors"] == {}


def test_the_client_may_choose_the_id(server: Client) -> None:
    chosen = str(uuid.uuid4())
    assert server.submit(fresh_graph(), prompt_id=chosen) == chosen
    assert server.wait(chosen)["prompt"][1] == chosen


@pytest.mark.parametrize(("given", "number"), [(3, 3.0), ("2.5", 2.5), (-1, -1.0)])
def test_a_given_number_is_kept_as_float(server: Client, given: Any, number: float) -> None:
    answer = server.post("/prompt", {"prompt": fresh_graph(), "number": given}).json()
    assert answer["number"] == number
    assert isinstance(answer["number"], float)


def test_a_history_entry_has_the_documented_form(server: Client) -> None:
    prompt = fresh_graph()
    before = int(time.time() * 1000)
    entry = server.run(prompt, extra_data={"note": [1, {"b": 2}]})
    number, prompt_id, stored, extra, outputs = entry["prompt"]
    assert isinstance(number, int)
    assert json.dumps(stored) == json.dumps(prompt)
    assert before <= extra.pop("create_time") <= int(time.time() * 1000)
    assert extra == {"note": [1, {"b": 2}], "client_id": server.client_id}
    assert outputs == ["2"]
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    kinds = [kind for kind, _ in entry["status"]["messages"]]
    assert kinds == ["execution_start", "execution_cached", "execution_success"]
    assert all(body["prompt_id"] == prompt_id for _, body in entry["status"]["messages"])
    image = entry["outputs"]["2"]["images"][0]
    assert image["type"] == "temp"
    assert set(entry["meta"]) == {"2"}


def test_the_graph_is_kept_in_its_order(server: Client) -> None:
    prompt = {"10": graph()["2"], "9": graph()["1"]}
    prompt["10"]["inputs"]["images"] = ["9", 0]
    assert list(server.run(prompt)["prompt"][2]) == ["10", "9"]


def test_secrets_are_shown_nowhere(server: Client, busy: str) -> None:
    secret = uuid.uuid4().hex
    extra = {"api_key_comfy_org": secret, "auth_token_comfy_org": secret}
    prompt_id = server.submit(fresh_graph(), extra_data=extra)
    assert secret not in server.get("/queue").body.decode()
    release(server, busy)
    server.wait(prompt_id)
    assert secret not in server.get("/history").body.decode()


def test_waiting_jobs_are_listed_and_can_be_taken_out(server: Client, busy: str) -> None:
    ids = [server.submit(fresh_graph()) for _ in range(4)]
    running = server.get("/queue").json()["queue_running"]
    assert [item[1] for item in running] == [busy]
    assert [len(item) for item in running] == [5]
    assert sorted(pending(server)) == sorted(ids)
    assert server.get("/prompt").json() == {"exec_info": {"queue_remaining": 5}}
    assert server.post("/queue", {"delete": [ids[0], "unknown"]}).body == b"{}"
    assert sorted(pending(server)) == sorted(ids[1:])
    server.post("/queue", {"delete": ids[1]})
    assert sorted(pending(server)) == sorted(ids[2:])
    server.post("/queue", {"clear": True})
    assert pending(server) == []
    assert server.get("/queue").json()["queue_running"] != []
    release(server, busy)
    assert all(server.history(prompt_id) is None for prompt_id in ids)


def test_jobs_run_by_number_and_front_comes_first(server: Client, busy: str) -> None:
    late = server.submit(fresh_graph(), number=1e9)
    normal = server.submit(fresh_graph())
    front = server.submit(fresh_graph(), front=True)
    assert pending(server) == [front, normal, late]
    release(server, busy)
    started = [
        dict(server.wait(prompt_id)["status"]["messages"])["execution_start"]["timestamp"]
        for prompt_id in (front, normal, late)
    ]
    assert started == sorted(started)


@pytest.mark.parametrize("body", [None, b"not json", {}])
def test_an_interrupt_stops_what_runs(server: Client, busy: str, body: Any) -> None:
    reply = server.post("/interrupt", body)
    assert (reply.status, reply.body) == (200, b"{}")
    status = server.wait(busy)["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    assert status["messages"][-1][0] == "execution_interrupted"


def test_an_interrupt_of_another_job_changes_nothing(server: Client, busy: str) -> None:
    server.post("/interrupt", {"prompt_id": "another"})
    assert server.history(busy) is None
    server.post("/interrupt", {"prompt_id": busy})
    assert server.wait(busy)["status"]["status_str"] == "error"


def test_an_interrupt_while_idle_does_not_hit_the_next_job(server: Client) -> None:
    server.run(fresh_graph())
    server.post("/interrupt")
    server.run(fresh_graph())


def test_a_link_on_a_foreign_page_cannot_interrupt(server: Client, busy: str) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert server.get("/interrupt", headers).status == 403
    assert server.history(busy) is None
    assert server.get("/interrupt").status == 200
    server.wait(busy)


def test_free_answers_an_object(server: Client) -> None:
    for body in ({}, {"unload_models": True}, {"free_memory": True}, None):
        reply = server.post("/free", body)
        assert (reply.status, reply.body) == (200, b"{}")


def test_after_free_memory_nothing_is_cached(server: Client) -> None:
    prompt = fresh_graph()
    server.run(prompt)
    again = dict(server.run(prompt)["status"]["messages"])
    assert again["execution_cached"]["nodes"] == ["1", "2"]
    server.post("/free", {"free_memory": True})
    later = dict(server.run(prompt)["status"]["messages"])
    assert later["execution_cached"]["nodes"] == []


class TestHistoryPages:
    """The history of six jobs, after all others were forgotten."""

    @pytest.fixture(autouse=True)
    def ids(self, server: Client) -> list[str]:
        server.post("/history", {"clear": True})
        made = [server.submit(graph(number)) for number in range(6)]
        for prompt_id in made:
            server.wait(prompt_id)
        return made

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, slice(None)),
            ({"max_items": 2}, slice(4, 6)),
            ({"max_items": 2, "offset": 0}, slice(0, 2)),
            ({"max_items": 2, "offset": 3}, slice(3, 5)),
            ({"max_items": 2, "offset": -1}, slice(4, 6)),
            ({"offset": 4}, slice(4, 6)),
            ({"max_items": 0}, slice(0, 0)),
            ({"max_items": 0, "offset": 0}, slice(0, 0)),
            ({"max_items": 5, "offset": 6}, slice(0, 0)),
            ({"max_items": 100}, slice(None)),
        ],
    )
    def test_pages(
        self, server: Client, ids: list[str], query: dict[str, int], expected: slice
    ) -> None:
        assert list(server.get("/history", None, **query).json()) == ids[expected]

    def test_one_by_query(self, server: Client, ids: list[str]) -> None:
        assert list(server.get("/history", prompt_id=ids[2]).json()) == [ids[2]]

    def test_some_can_be_forgotten(self, server: Client, ids: list[str]) -> None:
        reply = server.post("/history", {"delete": [ids[0], ids[5], "unknown"]})
        assert (reply.status, reply.body) == (200, b"{}")
        assert list(server.get("/history").json()) == ids[1:5]
        assert server.get(f"/history/{ids[0]}").json() == {}


def test_an_unknown_job_has_an_empty_history(server: Client) -> None:
    reply = server.get("/history/unknown")
    assert (reply.status, reply.json()) == (200, {})


NODE_OK = {"class_type": "EmptyImage", "inputs": graph()["1"]["inputs"]}

BAD_PROMPTS: list[tuple[Any, str]] = [
    (b"", "bad_request"),
    (b"{", "bad_request"),
    (b"[1]", "bad_request"),
    (b"null", "bad_request"),
    (b"prompt=1&b=2", "bad_request"),
    ({}, "no_prompt"),
    ({"prompt": {}}, "prompt_no_outputs"),
    ({"prompt": graph(), "number": "x"}, "bad_request"),
    ({"prompt": graph(), "number": None}, "bad_request"),
    ({"prompt": graph(), "number": [1]}, "bad_request"),
    (b'{"prompt": {}, "number": NaN}', "bad_request"),
    ({"prompt": graph(), "client_id": ["a"]}, "bad_request"),
    ({"prompt": graph(), "client_id": {"a": 1}}, "bad_request"),
    ({"prompt": graph(), "client_id": 5}, "bad_request"),
    ({"prompt": graph(), "prompt_id": ""}, "invalid_prompt_id"),
    ({"prompt": graph(), "prompt_id": "two\nlines"}, "invalid_prompt_id"),
    ({"prompt": graph(), "prompt_id": "x" * 257}, "invalid_prompt_id"),
    ({"prompt": graph(), "prompt_id": 5}, "invalid_prompt_id"),
    ({"prompt": graph(), "prompt_id": ["a"]}, "invalid_prompt_id"),
    ({"prompt": graph(), "extra_data": None}, "bad_request"),
    ({"prompt": graph(), "extra_data": [1]}, "bad_request"),
    ({"prompt": graph(), "extra_data": {"client_id": [1]}}, "bad_request"),
    ({"prompt": graph(), "extra_data": {"extra_pnginfo": [1]}}, "bad_request"),
    ({"prompt": graph(), "front": "yes"}, "bad_request"),
    ({"prompt": graph(), "partial_execution_targets": "2"}, "bad_request"),
    ({"prompt": graph(), "partial_execution_targets": []}, "prompt_no_outputs"),
    ({"prompt": {"1": NODE_OK}}, "prompt_no_outputs"),
    ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
    ({"prompt": {"1": {"class_type": "NoSuchClass", "inputs": {}}}}, "invalid_prompt"),
    (
        {"prompt": {"2": {"class_type": "PreviewImage", "inputs": {}}}},
        "prompt_outputs_failed_validation",
    ),
]


@pytest.mark.parametrize(("body", "kind"), BAD_PROMPTS)
def test_a_bad_submission_gets_a_400_with_a_reason(server: Client, body: Any, kind: str) -> None:
    reply = server.post("/prompt", body)
    answer = reply.json()
    assert reply.status == 400
    assert answer["error"]["type"] == kind
    assert answer["error"]["message"]
    assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
    assert isinstance(answer["node_errors"], dict)


@pytest.mark.parametrize("value", [None, "text", 5, [graph()], {"1": None}, {"1": "x"}, {"1": []}])
def test_a_prompt_of_a_wrong_shape_gets_a_400(server: Client, value: Any) -> None:
    reply = server.post("/prompt", {"prompt": value})
    assert reply.status == 400
    assert reply.json()["error"]["type"]


@pytest.mark.parametrize("path", ["/queue", "/history", "/free"])
@pytest.mark.parametrize("body", [b"a=b", b"[]", b'"x"', b"{"])
def test_other_bodies_of_a_wrong_form_get_a_400(server: Client, path: str, body: bytes) -> None:
    reply = server.post(path, body)
    assert (reply.status, reply.json()["error"]["type"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/queue", {"clear": "yes"}),
        ("/queue", {"delete": {"a": 1}}),
        ("/history", {"clear": 1}),
        ("/history", {"delete": [None]}),
        ("/free", {"free_memory": "yes"}),
        ("/interrupt", {"prompt_id": ["a"]}),
    ],
)
def test_other_fields_of_a_wrong_type_are_named(
    server: Client, path: str, body: dict[str, Any]
) -> None:
    reply = server.post(path, body)
    assert reply.status == 400
    assert reply.json()["error"]["extra_info"]["field"] == next(iter(body))


@pytest.mark.parametrize("query", ["max_items=x", "offset=1.5", "max_items=99999999999999999999"])
def test_history_parameters_must_be_whole_numbers(server: Client, query: str) -> None:
    assert server.get(f"/history?{query}").status == 400
