"""The rows about `POST /prompt`: what a body may hold, and what each answer looks like."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.client import Client
from tests.server.graphs import fresh_graph, graph, release


def submit(server: Client, **body: Any) -> dict[str, Any]:
    reply = server.post("/prompt", {"prompt": fresh_graph()} | body)
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json()
    return answer


def rejection(server: Client, **body: Any) -> dict[str, Any]:
    reply = server.post("/prompt", body)
    assert reply.status == 400, reply.body
    answer: dict[str, Any] = reply.json()
    return answer


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "?"]
)
def test_the_content_type_does_not_matter(server: Client, content_type: str) -> None:
    body = json.dumps({"prompt": fresh_graph()}).encode()
    assert server.post("/prompt", body, {"Content-Type": content_type}).status == 200


def test_a_null_id_is_none(server: Client) -> None:
    assert uuid.UUID(submit(server, prompt_id=None)["prompt_id"]).version == 4


def test_an_id_is_accepted_once_until_its_job_is_deleted(server: Client) -> None:
    prompt_id = uuid.uuid4().hex
    entry = server.run(graph(1), prompt_id=prompt_id)
    reply = server.post("/prompt", {"prompt": graph(2), "prompt_id": prompt_id})
    assert reply.status == 409
    assert reply.json()["error"]["type"] == "prompt_id_exists"
    assert reply.json()["error"]["extra_info"] == {"prompt_id": prompt_id}
    assert reply.json()["node_errors"] == {}
    assert server.history(prompt_id) == entry
    server.post("/history", {"delete": [prompt_id]})
    assert server.run(graph(2), prompt_id=prompt_id)["prompt"][2] == graph(2)


def test_of_many_requests_with_one_id_one_is_accepted(server: Client, busy: str) -> None:
    body = {"prompt": fresh_graph(), "prompt_id": uuid.uuid4().hex}
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: server.post("/prompt", body).status, range(16)))
    assert sorted(replies) == [200] + 15 * [409]
    assert [item[1] for item in server.get("/queue").json()["queue_pending"]] == [body["prompt_id"]]
    release(server, busy)


def test_rejected_requests_take_a_number_too(server: Client) -> None:
    before = submit(server)["number"]
    rejection(server, prompt={})
    rejection(server)
    assert submit(server)["number"] == before + 3


def test_a_given_number_leaves_the_counter_alone(server: Client) -> None:
    before = submit(server)["number"]
    submit(server, number=7)
    assert submit(server)["number"] == before + 1


def test_front_is_minus_the_counter(server: Client) -> None:
    before = submit(server)["number"]
    assert submit(server, front=True)["number"] == -(before + 1)
    assert submit(server, front=False)["number"] == before + 2


def test_front_does_not_change_a_given_number(server: Client) -> None:
    assert submit(server, number=5, front=True)["number"] == 5.0


def test_equal_numbers_run_in_the_order_of_their_ids(server: Client, busy: str) -> None:
    prefix = uuid.uuid4().hex
    ids = [server.submit(fresh_graph(), number=5, prompt_id=f"{prefix}-{i}") for i in (3, 1, 2)]
    waiting = [item[1] for item in server.get("/queue").json()["queue_pending"]]
    assert [prompt_id for prompt_id in waiting if prompt_id in ids] == sorted(ids)
    server.post("/queue", {"delete": ids})
    release(server, busy)


@pytest.mark.parametrize(
    ("targets", "outputs"),
    [(None, ["2", "3"]), (["3"], ["3"]), (["3", "1", "unknown"], ["3"]), (["3", "2"], ["2", "3"])],
)
def test_targets_choose_the_outputs(server: Client, targets: Any, outputs: list[str]) -> None:
    two = fresh_graph() | {"3": graph()["2"]}
    entry = server.wait(server.submit(two, partial_execution_targets=targets))
    assert sorted(entry["prompt"][4]) == outputs
    assert sorted(entry["outputs"]) == outputs


def test_keys_of_a_node_that_mean_nothing_are_passed_over(server: Client) -> None:
    prompt = fresh_graph()
    prompt["1"] |= {"_meta": {"title": "A colour"}, "pos": [1, 2]}
    entry = server.run(prompt)
    assert entry["prompt"][2]["1"]["_meta"] == {"title": "A colour"}


def test_a_literal_in_an_envelope_is_unwrapped(server: Client) -> None:
    prompt = fresh_graph()
    prompt["1"]["inputs"]["width"] = {"__value__": 16}
    assert server.run(prompt)["prompt"][2]["1"]["inputs"]["width"] == 16


def test_converted_literals_are_what_the_history_shows(server: Client) -> None:
    prompt = fresh_graph()
    prompt["1"]["inputs"] |= {"width": "32", "height": 32.7}
    stored = server.run(prompt)["prompt"][2]["1"]["inputs"]
    assert (stored["width"], stored["height"]) == (32, 32)


def test_the_client_id_of_the_body_wins(server: Client) -> None:
    extra = {"client_id": "of the extra data", "other": 1}
    entry = server.wait(server.submit(fresh_graph(), client_id="of the body", extra_data=extra))
    assert entry["prompt"][3]["client_id"] == "of the body"
    assert entry["prompt"][3]["other"] == 1


def test_secrets_leave_the_extra_data(server: Client) -> None:
    extra = {"auth_token_comfy_org": "a", "api_key_comfy_org": "b", "kept": "c"}
    entry = server.wait(server.submit(fresh_graph(), extra_data=extra))
    assert set(entry["prompt"][3]) == {"client_id", "create_time", "kept"}


def test_a_part_that_can_run_is_accepted_and_the_rest_is_told(server: Client) -> None:
    prompt = fresh_graph() | {"bad": {"class_type": "PreviewImage", "inputs": {}}}
    answer = submit(server, prompt=prompt)
    assert list(answer["node_errors"]) == ["bad"]
    told = answer["node_errors"]["bad"]
    assert (told["class_type"], told["dependent_outputs"]) == ("PreviewImage", ["bad"])
    assert server.wait(answer["prompt_id"])["prompt"][4] == ["2"]


def test_a_body_without_a_prompt(server: Client) -> None:
    answer = rejection(server, client_id="x")
    error = answer["error"]
    assert error["type"] == "no_prompt"
    assert error["details"] == error["message"] != ""
    assert (error["extra_info"], answer["node_errors"]) == ({}, {})


@pytest.mark.parametrize("bad", [{"inputs": {}}, {"class_type": "NoSuchClass", "inputs": {}}])
def test_the_first_node_that_is_none_is_told(server: Client, bad: Any) -> None:
    prompt = fresh_graph() | {"9": bad, "5": {"class_type": "AnotherUnknown", "inputs": {}}}
    answer = rejection(server, prompt=prompt)
    assert answer["error"]["type"] == "invalid_prompt"
    assert answer["error"]["details"] == "Node ID '#9'"
    assert answer["error"]["extra_info"]["node_id"] == "9"
    assert answer["error"]["extra_info"]["class_type"] == bad.get("class_type")
    assert answer["node_errors"] == {}


def test_the_message_names_an_unknown_class(server: Client) -> None:
    prompt = {"9": {"class_type": "NoSuchClass", "inputs": {}}}
    assert "NoSuchClass" in rejection(server, prompt=prompt)["error"]["message"]


@pytest.mark.parametrize("prompt", [{}, {"1": graph()["1"]}])
def test_a_prompt_without_outputs(server: Client, prompt: Any) -> None:
    answer = rejection(server, prompt=prompt)
    error = answer["error"]
    assert (error["type"], error["details"], error["extra_info"]) == ("prompt_no_outputs", "", {})
    assert answer["node_errors"] == {}


def test_a_prompt_of_which_nothing_can_run(server: Client) -> None:
    answer = rejection(server, prompt={"2": {"class_type": "PreviewImage", "inputs": {}}})
    (found,) = answer["node_errors"]["2"]["errors"]
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    assert answer["error"]["details"] == f"{found['message']}: images"
    assert answer["error"]["extra_info"] == {}
    assert (found["type"], found["details"]) == ("required_input_missing", "images")
    assert found["extra_info"] == {"input_name": "images"}


def test_errors_upstream_leave_no_details(server: Client) -> None:
    prompt = fresh_graph()
    prompt["1"]["inputs"]["width"] = 0
    answer = rejection(server, prompt=prompt)
    assert answer["error"]["details"] == ""
    assert list(answer["node_errors"]) == ["1"]
    assert answer["node_errors"]["1"]["dependent_outputs"] == ["2"]
    (found,) = answer["node_errors"]["1"]["errors"]
    assert found["type"] == "value_smaller_than_min"
    assert found["extra_info"]["received_value"] == 0
    assert found["extra_info"]["input_config"][0] == "INT"
