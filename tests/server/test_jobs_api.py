"""All jobs in one list, and cancelling them, on the twin and on a real server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.client import Client, wait_until
from tests.conftest import ServerProcess
from tests.server.conftest import Place
from tests.server.graphs import fresh_graph, release, slow_graph

ALL_STATES = "pending,in_progress,completed,failed,cancelled"


@pytest.fixture(params=["twin_place", "process_place"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def workflow_id() -> str:
    """A workflow of this test's own, so that other tests' jobs stay out of its lists."""
    return uuid.uuid4().hex


def submit(server: Client, workflow_id: str, **more: Any) -> str:
    extra = {"extra_pnginfo": {"workflow": {"id": workflow_id}}}
    return server.submit(fresh_graph(), extra_data=extra, **more)


def listed(server: Client, workflow_id: str, **query: Any) -> list[dict[str, Any]]:
    reply = server.get("/api/jobs", workflow_id=workflow_id, **query)
    assert reply.status == 200, reply.body
    jobs: list[dict[str, Any]] = reply.json()["jobs"]
    return jobs


def job(server: Client, prompt_id: str) -> dict[str, Any]:
    reply = server.get(f"/api/jobs/{prompt_id}")
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json()
    return found


def test_a_finished_job_has_the_documented_form(server: Client, workflow_id: str) -> None:
    before = int(time.time() * 1000)
    prompt_id = submit(server, workflow_id)
    number = server.wait(prompt_id)["prompt"][0]

    (found,) = listed(server, workflow_id)

    times = [found.pop(f"{name}_time") for name in ("create", "execution_start", "execution_end")]
    assert before <= times[0] <= times[1] <= times[2] <= int(time.time() * 1000)
    preview = found.pop("preview_output")
    assert set(preview) == {"filename", "subfolder", "type", "nodeId", "mediaType"}
    assert (preview["nodeId"], preview["mediaType"], preview["type"]) == ("2", "images", "temp")
    assert found == {
        "id": prompt_id,
        "status": "completed",
        "priority": number,
        "outputs_count": 1,
        "previewable_outputs_count": 1,
        "workflow_id": workflow_id,
    }


def test_jobs_that_wait_and_run_tell_little(server: Client, busy: str, workflow_id: str) -> None:
    waiting = submit(server, workflow_id)
    keys = {"id", "status", "priority", "create_time", "outputs_count", "previewable_outputs_count"}

    (found,) = listed(server, workflow_id, status="pending")
    running = server.get("/api/jobs?status=in_progress").json()["jobs"]

    assert set(found) == keys | {"workflow_id"}
    assert (found["id"], found["status"], found["outputs_count"]) == (waiting, "pending", 0)
    assert [shown["id"] for shown in running] == [busy]
    assert set(running[0]) == keys
    release(server, busy)
    server.wait(waiting)


def test_a_single_job_shows_its_graph_and_its_outputs(server: Client) -> None:
    prompt = fresh_graph()
    prompt_id = server.submit(prompt, extra_data={"note": 1})
    entry = server.wait(prompt_id)

    found = job(server, prompt_id)

    assert found["workflow"]["prompt"] == prompt
    assert found["workflow"]["extra_data"]["note"] == 1
    assert found["outputs"] == entry["outputs"]
    assert found["execution_status"] == entry["status"]


def test_a_waiting_job_shows_its_graph_but_no_outputs(server: Client, busy: str) -> None:
    prompt = fresh_graph()
    waiting = server.submit(prompt)

    found = job(server, waiting)

    assert found["workflow"]["prompt"] == prompt
    assert "outputs" not in found and "execution_status" not in found
    release(server, busy)
    server.wait(waiting)


def test_secrets_are_no_part_of_a_job(server: Client) -> None:
    secret = uuid.uuid4().hex
    extra = {"api_key_comfy_org": secret, "auth_token_comfy_org": secret}
    prompt_id = server.submit(fresh_graph(), extra_data=extra)
    server.wait(prompt_id)

    assert secret not in server.get(f"/api/jobs/{prompt_id}").body.decode()


def test_an_unknown_job_is_a_404(server: Client) -> None:
    reply = server.get(f"/api/jobs/{uuid.uuid4()}")
    assert reply.status == 404
    assert isinstance(reply.json()["error"], str)


def test_the_list_is_paged_newest_first(server: Client, workflow_id: str) -> None:
    ids = [submit(server, workflow_id) for _ in range(5)]
    for prompt_id in ids:
        server.wait(prompt_id)

    def page(**query: Any) -> tuple[list[str], dict[str, Any]]:
        answer = server.get("/api/jobs", workflow_id=workflow_id, **query).json()
        return [shown["id"] for shown in answer["jobs"]], answer["pagination"]

    assert page() == (ids[::-1], {"offset": 0, "limit": None, "total": 5, "has_more": False})
    assert page(limit=2) == (
        ids[:2:-1],
        {"offset": 0, "limit": 2, "total": 5, "has_more": True},
    )
    assert page(limit=2, offset=3, sort_order="asc") == (
        ids[3:],
        {"offset": 3, "limit": 2, "total": 5, "has_more": False},
    )
    assert page(offset=-4)[1]["offset"] == 0
    assert page(offset=9) == ([], {"offset": 9, "limit": None, "total": 5, "has_more": False})
    assert page(offset=10**30, limit=10**30)[0] == []


def test_the_list_can_be_ordered_by_duration(server: Client, workflow_id: str) -> None:
    for _ in range(3):
        server.wait(submit(server, workflow_id))

    for order in ("asc", "desc"):
        jobs = listed(server, workflow_id, sort_by="execution_duration", sort_order=order)
        taken = [shown["execution_end_time"] - shown["execution_start_time"] for shown in jobs]
        assert taken == sorted(taken, reverse=order == "desc")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("status=done", "pending, in_progress, completed, failed, cancelled"),
        ("status=completed,odd", "odd"),
        ("sort_by=name", "sort_by"),
        ("sort_order=up", "sort_order"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("offset=1.5", "offset"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(server: Client, query: str, named: str) -> None:
    reply = server.get(f"/api/jobs?{query}")
    assert reply.status == 400
    assert named in reply.json()["error"]


def test_the_newest_front_end_finds_all_states(server: Client, workflow_id: str) -> None:
    done = submit(server, workflow_id)
    server.wait(done)
    busy = server.submit(slow_graph(240))
    dropped, waiting = submit(server, workflow_id), submit(server, workflow_id)
    assert server.post(f"/api/jobs/{dropped}/cancel").json() == {"cancelled": True}

    states = {shown["id"]: shown["status"] for shown in listed(server, workflow_id)}
    ended = listed(server, workflow_id, status="completed,failed,cancelled", limit=64, offset=0)

    assert states == {done: "completed", dropped: "cancelled", waiting: "pending"}
    assert {shown["id"] for shown in ended} == {done, dropped}
    release(server, busy)
    server.wait(waiting)


def test_a_cancelled_job_never_runs_and_keeps_its_record(
    server: Client, busy: str, workflow_id: str
) -> None:
    prompt_id = submit(server, workflow_id)

    assert server.post(f"/api/jobs/{prompt_id}/cancel").json() == {"cancelled": True}
    assert server.post(f"/api/jobs/{prompt_id}/cancel").json() == {"cancelled": False}

    release(server, busy)
    found = job(server, prompt_id)
    assert found["status"] == "cancelled"
    assert "execution_start_time" not in found
    assert server.history(prompt_id) is None


def test_a_running_job_can_be_cancelled(server: Client) -> None:
    with server.listen() as listener:
        prompt_id = server.submit(slow_graph(240))
        listener.wait_for("executing", prompt_id)
        assert server.post(f"/api/jobs/{prompt_id}/cancel", b"not json").json() == {
            "cancelled": True
        }
        listener.wait_for("execution_interrupted", prompt_id)
        listener.wait_for_end(prompt_id)
    found = job(server, prompt_id)
    assert found["status"] == "cancelled"
    assert found["execution_status"]["status_str"] == "error"
    assert "execution_error" not in found


def test_cancelling_what_has_ended_or_is_unknown_changes_nothing(server: Client) -> None:
    prompt_id = server.submit(fresh_graph())
    server.wait(prompt_id)

    for job_id in (prompt_id, str(uuid.uuid4())):
        assert server.post(f"/api/jobs/{job_id}/cancel").json() == {"cancelled": False}
    assert job(server, prompt_id)["status"] == "completed"


def test_the_id_to_cancel_must_not_be_empty(server: Client) -> None:
    reply = server.post("/api/jobs//cancel")
    assert reply.status == 400
    assert isinstance(reply.json()["error"], str)


def test_several_jobs_are_cancelled_at_once(server: Client, busy: str, workflow_id: str) -> None:
    ids = [submit(server, workflow_id) for _ in range(3)]

    reply = server.post("/api/jobs/cancel", {"job_ids": [busy, ids[0], ids[2], "unknown"]})

    assert (reply.status, reply.json()) == (200, {"cancelled": True})
    server.wait(busy)
    server.wait(ids[1])
    states = {shown["id"]: shown["status"] for shown in listed(server, workflow_id)}
    assert states == {ids[0]: "cancelled", ids[1]: "completed", ids[2]: "cancelled"}


@pytest.mark.parametrize("job_ids", [[], ["unknown"]])
def test_cancelling_nothing_says_so(server: Client, job_ids: list[str]) -> None:
    reply = server.post("/api/jobs/cancel", {"job_ids": job_ids})
    assert (reply.status, reply.json()) == (200, {"cancelled": False})


@pytest.mark.parametrize("body", [b"{", b"", b"[]", {}, {"job_ids": "a"}, {"job_ids": None}])
def test_a_cancel_without_a_list_of_ids_is_refused(server: Client, body: Any) -> None:
    reply = server.post("/api/jobs/cancel", body)
    assert reply.status == 400
    assert isinstance(reply.json()["error"], str)


def test_ids_that_no_job_can_have_are_listed_and_nothing_is_cancelled(
    server: Client, busy: str
) -> None:
    waiting = server.submit(fresh_graph())
    bad = [5, None, "", "x" * 257, "a\nb"]

    reply = server.post("/api/jobs/cancel", {"job_ids": [waiting, *bad]})

    assert reply.status == 400
    assert reply.json()["invalid_ids"] == ["5", "None", "", "x" * 257, "a\nb"]
    assert job(server, waiting)["status"] == "pending"
    release(server, busy)
    server.wait(waiting)


def test_a_failed_job_says_why(
    new_server: Callable[..., ServerProcess], tmp_path: Any, workflow_id: str
) -> None:
    base = tmp_path / "base"
    (base / "models" / "checkpoints").mkdir(parents=True)
    (base / "models" / "checkpoints" / "bad.safetensors").write_bytes(b"no tensors")
    server = new_server(base=base).client
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "bad.safetensors"}}
    decode = {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}}
    size = {"width": 64, "height": 64, "batch_size": 1}
    prompt = {
        "1": loader,
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": size},
        "4": decode,
    }
    extra = {"extra_pnginfo": {"workflow": {"id": workflow_id}}}
    prompt_id = server.submit(prompt, extra_data=extra)
    server.wait(prompt_id)

    (found,) = wait_until(
        lambda: listed(server, workflow_id, status="failed"), what="the job has failed"
    )

    assert found["execution_error"]["node_id"] == "1"
    assert found["execution_error"]["prompt_id"] == prompt_id
    assert "bad.safetensors" in found["execution_error"]["exception_message"]


def test_the_twins_of_the_routes_answer_alike(server: Client, workflow_id: str) -> None:
    server.wait(submit(server, workflow_id))
    query = f"?workflow_id={workflow_id}&status={ALL_STATES}"
    assert server.get(f"/jobs{query}").json() == server.get(f"/api/jobs{query}").json()


def test_a_client_can_send_ids_of_any_kind_of_text(server: Client) -> None:
    chosen = f"my job/7 {{ü}} {uuid.uuid4().hex}"
    server.submit(fresh_graph(), prompt_id=chosen)
    path = (
        chosen.replace(" ", "%20")
        .replace("/", "%2F")
        .replace("ü", "%C3%BC")
        .replace("{", "%7B")
        .replace("}", "%7D")
    )
    found = wait_until(
        lambda: job(server, path)["status"] == "completed" and job(server, path),
        what="the job is done",
    )
    assert found["id"] == chosen


def test_the_program_that_submits_can_name_itself(server: Client) -> None:
    headers = {"Comfy-Usage-Source": "my-tool"}
    ids = [
        server.post("/prompt", {"prompt": fresh_graph()} | more, headers).json()["prompt_id"]
        for more in ({}, {"extra_data": {"comfy_usage_source": "own"}})
    ]
    for prompt_id in ids:
        server.wait(prompt_id)
    sources = [
        job(server, prompt_id)["workflow"]["extra_data"]["comfy_usage_source"] for prompt_id in ids
    ]
    assert sources == ["my-tool", "own"]
