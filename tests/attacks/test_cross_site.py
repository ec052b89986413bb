"""Pages of other sites, and names of others that lead to this machine, against a real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import websocket

from tests.client import Client, Reply
from tests.conftest import ServerProcess

EVIL = "http://evil.example:8188"


def refused_websocket(client: Client, **options: object) -> int:
    """The status with which a WebSocket is refused."""
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(f"ws{client.address.removeprefix('http')}/ws", **options)
    status: int = refused.value.status_code
    return status


def test_a_name_of_others_that_leads_here_gets_nothing(server: Client) -> None:
    # What a browser sends once `evil.example` has the address 127.0.0.1: one origin, as it sees it.
    rebound = {"Host": "evil.example:8188", "Origin": EVIL, "Sec-Fetch-Site": "same-origin"}
    for reply in (
        server.get("/queue", rebound),
        server.get("/view?filename=a.png", rebound),
        server.get("/", rebound),
        server.post("/prompt", {"prompt": {}}, rebound),
        server.request("OPTIONS", "/prompt", headers=rebound),
        server.get("/api/object_info", {"Host": "evil.example"}),
    ):
        assert (reply.status, reply.json()["error"]["type"]) == (403, "forbidden")
        assert "trusted_hosts" in reply.json()["error"]["details"]
    assert refused_websocket(server, host="evil.example", origin=EVIL) == 403


def test_a_page_of_another_site_gets_nothing(server: Client) -> None:
    def ask(method: str, path: str) -> Reply:
        return server.request(method, path, b"{}", {"Origin": EVIL})

    calls = [("POST", "/prompt"), ("POST", "/queue"), ("POST", "/interrupt"), ("POST", "/free")]
    calls += [("GET", "/history"), ("GET", "/interrupt"), ("DELETE", "/userdata/x")]
    for method, path in calls:
        assert (ask(method, path).status, ask(method, path).body) == (403, b""), path
    assert refused_websocket(server, origin=EVIL) == 403


def test_a_form_on_another_site_does_nothing(server: Client) -> None:
    for origin in ({}, {"Origin": "null"}):
        hidden = origin | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert server.post("/interrupt", {}, hidden).status == 403
        assert server.post("/queue", {"clear": True}, hidden).status == 403


def test_a_get_that_does_something_is_for_own_pages_only(server: Client) -> None:
    for site in ("cross-site", "same-site"):
        assert server.get("/interrupt", {"Sec-Fetch-Site": site}).status == 403
    assert server.get("/interrupt", {"Origin": "null"}).status == 403
    assert server.get("/interrupt", {"Sec-Fetch-Site": "same-origin"}).status == 200


def test_a_link_on_another_site_leads_here(server: Client) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.get("/", headers).status == 200


def test_a_trusted_host_is_served_and_guarded(new_server: Callable[..., ServerProcess]) -> None:
    client = new_server("--trusted-hosts", "studio.example,other.example").client
    for host in ("studio.example", "other.example:443", "127.0.0.1"):
        assert client.get("/queue", {"Host": host}).status == 200
        assert (
            client.get("/queue", {"Host": host, "Origin": "https://studio.example"}).status == 200
        )
        assert client.get("/queue", {"Host": host, "Origin": EVIL}).status == 403
    assert client.get("/queue", {"Host": "evil.example"}).status == 403
    assert refused_websocket(client, host="studio.example", origin=EVIL) == 403
    url = f"ws{client.address.removeprefix('http')}/ws"
    websocket.create_connection(url, host="studio.example", origin="https://studio.example").close()
