"""Each key has its own jobs, history and events; those of other keys are not there for it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.attacks.conftest import KeyedServer
from tests.client import Client, Listener, wait_until
from tests.server.graphs import fresh_graph, slow_graph


def listed(client: Client) -> set[str]:
    """Ids of all jobs that a client is shown."""
    queue = client.get("/queue").json()
    waiting = [item[1] for items in queue.values() for item in items]
    jobs = [job["id"] for job in client.get("/api/jobs").json()["jobs"]]
    paged = client.get("/history?max_items=100").json()
    return {*waiting, *jobs, *client.get("/history").json(), *paged}


@pytest.fixture
def finished(keyed: KeyedServer) -> str:
    """A job of Ann's that has run."""
    ann = keyed.client("ann")
    prompt_id = ann.submit(fresh_graph())
    ann.wait(prompt_id)
    return prompt_id


def test_jobs_of_others_are_not_shown(keyed: KeyedServer, finished: str) -> None:
    for name in ("bob", "rita"):
        client = keyed.client(name)
        assert finished not in listed(client)
        assert client.get(f"/history/{finished}").json() == {}
        assert client.get("/history", prompt_id=finished).json() == {}
        assert client.get(f"/api/jobs/{finished}").status == 404
        unknown = client.get(f"/api/jobs/{uuid.uuid4()}")
        assert client.get(f"/api/jobs/{finished}").body == unknown.body
    for name in ("ann", "root"):
        client = keyed.client(name)
        assert finished in listed(client)
        assert client.get(f"/api/jobs/{finished}").status == 200
        assert finished in client.get(f"/history/{finished}").json()


def test_the_history_of_others_cannot_be_forgotten(keyed: KeyedServer, finished: str) -> None:
    bob = keyed.client("bob")
    own = bob.submit(fresh_graph())
    bob.wait(own)
    assert bob.post("/history", {"delete": [finished]}).status == 200
    assert bob.post("/history", {"clear": True}).status == 200
    assert listed(bob) == set()
    assert finished in listed(keyed.client("ann"))


def test_jobs_of_others_can_be_neither_stopped_nor_taken_out(keyed: KeyedServer) -> None:
    ann, bob, root = keyed.client("ann"), keyed.client("bob"), keyed.client("root")
    running = ann.submit(slow_graph(400))
    waiting = ann.submit(fresh_graph())
    wait_until(lambda: ann.get("/queue").json()["queue_running"], what="Ann's job runs")
    assert bob.get("/prompt").json()["exec_info"]["queue_remaining"] == 0
    assert root.get("/prompt").json()["exec_info"]["queue_remaining"] == 2
    for path, body in (
        ("/interrupt", {}),
        ("/interrupt", {"prompt_id": running}),
        ("/queue", {"clear": True}),
        ("/queue", {"delete": [waiting]}),
    ):
        assert bob.post(path, body).status == 200
    assert bob.get("/interrupt").status == 200
    for path in (f"/api/jobs/{running}/cancel", f"/api/jobs/{waiting}/cancel"):
        assert bob.post(path).json() == {"cancelled": False}
    assert bob.post("/api/jobs/cancel", {"job_ids": [running, waiting]}).json() == {
        "cancelled": False
    }
    assert listed(ann) >= {running, waiting}
    assert ann.get("/prompt").json()["exec_info"]["queue_remaining"] == 2
    assert root.post(f"/api/jobs/{waiting}/cancel").json() == {"cancelled": True}
    assert root.post("/interrupt").status == 200
    assert ann.wait(running)["status"]["status_str"] == "error"


def test_an_id_that_is_taken_stays_taken(keyed: KeyedServer, finished: str) -> None:
    body = {"prompt": fresh_graph(), "prompt_id": finished}
    assert keyed.client("bob").post("/prompt", body).status == 409
    assert keyed.client("ann").get(f"/api/jobs/{finished}").status == 200


def heard(listener: Listener, client: Client) -> list[Any]:
    """All messages up to the end of a job of the listener's own."""
    prompt_id = client.submit(fresh_graph(), client_id=listener_id(listener))
    listener.wait_for_end(prompt_id)
    return [message for message in listener.messages if prompt_id not in str(message)]


def listener_id(listener: Listener) -> str:
    """The client id of a socket, from its greeting."""
    sid: str = listener.messages[0]["data"]["sid"]
    return sid


def test_messages_go_to_sockets_of_the_same_key_only(keyed: KeyedServer) -> None:
    ann, bob, root = keyed.client("ann"), keyed.client("bob"), keyed.client("root")
    with (
        ann.listen("shared") as of_ann,
        bob.listen("shared") as of_bob,  # the id that Ann's socket has
        root.listen() as of_root,
    ):
        private = ann.submit(fresh_graph(), client_id="shared")
        of_ann.wait_for_end(private)
        assert "executed" in of_ann.kinds(private)
        shout = {
            "1": {"class_type": "RoutesPackShout", "inputs": {"text": uuid.uuid4().hex}},
            "2": {"class_type": "RoutesPackShow", "inputs": {"text": ["1", 0]}},
        }
        loud = ann.submit(shout, client_id="shared")
        of_ann.wait_for_end(loud)
        assert {"routes_pack.shouted", "routes_pack.show"} <= set(of_ann.kinds())
        of_ann.wait_for("status")
        told = heard(of_bob, bob)
        assert private not in str(told)
        assert {message["type"] for message in told} == {"status"}
        counts = [message["data"]["status"]["exec_info"]["queue_remaining"] for message in told]
        # Bob's own job comes and goes; of Ann's two he is told neither the number nor when.
        assert counts in ([0, 1], [0, 1, 0])
        assert "routes_pack.shouted" in [message["type"] for message in heard(of_root, root)]


def test_a_pack_answers_to_sockets_of_whom_it_answers(keyed: KeyedServer) -> None:
    ann, bob = keyed.client("ann"), keyed.client("bob")
    with ann.listen() as of_ann, bob.listen() as of_bob:
        forged = {"X-Darkroom-Owner": "ann"}
        assert bob.post("/routes_pack/tell", {"for": "bob"}, forged).status == 204
        assert of_bob.wait_for("routes_pack.told") == {"for": "bob"}
        assert "routes_pack.told" not in str(heard(of_ann, ann))


def test_packs_are_told_no_keys(keyed: KeyedServer) -> None:
    ann = keyed.client("ann")
    key = ann.key
    headers = {
        "X-API-Key": key,
        "Cookie": f"a=1; darkroom_key={key}; b=2",
        "Referer": f"http://here/routes_pack/page?x=1&token={key}",
    }
    reply = ann.get("/routes_pack/headers", headers)
    assert reply.status == 200
    assert key not in reply.body.decode()
    assert ["cookie", "a=1; b=2"] in reply.json()
    assert ["referer", "http://here/routes_pack/page?x=1"] in reply.json()
    hello = keyed.stranger.get("/routes_pack/hello", token=key, name="x")
    assert (hello.status, hello.json()["hello"]) == (200, "x")
