"""API keys: who gets in, with what, and for how long. Real servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import websocket

from server.app import ROUTES
from server.keys import TOKEN_PREFIX
from server.scopes import KEY_SCOPES, Scope
from tests.attacks.conftest import SCOPES, KeyedServer, key_file
from tests.client import Client, Reply, wait_until
from tests.conftest import ROOT, ServerProcess

CALLS = [
    (method, re.sub(r"\{[^}]*\}", "x", path), scope)
    for method, path, _, scope in ROUTES
    if path != "/ws"
]
SCREENED = [call for call in CALLS if call[2] is not Scope.OPEN]
WRONG = TOKEN_PREFIX + "A" * 43


def ask(client: Client, method: str, path: str, **headers: str) -> Reply:
    """Without a body: calls that need one say so, once the key is good."""
    return client.request(
        method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def websocket_status(address: str, query: str = "", **options: object) -> int:
    """The status with which a WebSocket is refused, 101 if it opens."""
    url = f"ws{address.removeprefix('http')}/ws{query}"
    try:
        websocket.create_connection(url, timeout=20, **options).close()
    except websocket.WebSocketBadStatusException as refused:
        status: int = refused.status_code
        return status
    return 101


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_nobody_gets_anything_without_a_key(keyed: KeyedServer, prefix: str) -> None:
    for method, path, _ in SCREENED:
        reply = ask(keyed.stranger, method, prefix + path)
        assert (reply.status, reply.json()["error"]["type"]) == (401, "unauthorized"), path
        assert reply.headers["www-authenticate"].startswith("Bearer"), path
    assert websocket_status(keyed.process.address) == 401


def test_what_shows_a_page_needs_no_key(keyed: KeyedServer) -> None:
    for method, path, scope in CALLS:
        if scope is Scope.OPEN and path not in ("/", "/sign_in"):
            assert ask(keyed.stranger, method, path).status in (200, 303, 404), path


@pytest.mark.parametrize("name", SCOPES)
def test_a_key_allows_what_its_scope_says(keyed: KeyedServer, name: str) -> None:
    client = keyed.client(name)
    for method, path, scope in SCREENED:
        reply = ask(client, method, path)
        if SCOPES[name] >= scope:
            assert reply.status not in (401, 403), f"{method} {path}"
            continue
        assert reply.status == 403, f"{method} {path}"
        extra = {"required": scope.word, "scope": SCOPES[name].word}
        assert reply.json()["error"]["extra_info"] == extra


def test_every_scope_is_that_of_some_route() -> None:
    assert {scope for *_, scope in ROUTES} == set(Scope)
    assert set(KEY_SCOPES.values()) == set(Scope) - {Scope.OPEN}


def test_a_key_may_come_in_a_header_or_in_the_address(keyed: KeyedServer) -> None:
    key, stranger = keyed.keys["ann"], keyed.stranger
    query = "?" + urllib.parse.urlencode({"token": key})
    assert ask(stranger, "GET", "/queue", Authorization=f"Bearer {key}").status == 200
    assert ask(stranger, "GET", "/queue", Authorization=f"bearer  {key}").status == 200
    assert ask(stranger, "GET", "/queue", X_API_Key=key).status == 200
    assert ask(stranger, "GET", "/queue" + query).status == 200
    assert ask(stranger, "HEAD", "/queue" + query).status == 200
    address = keyed.process.address
    assert websocket_status(address, query) == 101
    assert websocket_status(address, header={"X-API-Key": key}) == 101
    # A proxy may ask for a password of its own.
    assert ask(stranger, "GET", "/queue", Authorization="Basic eA==", X_API_Key=key).status == 200


def test_an_address_does_nothing_but_look(keyed: KeyedServer) -> None:
    query = "?" + urllib.parse.urlencode({"token": keyed.keys["root"]})
    assert ask(keyed.stranger, "POST", "/interrupt" + query).status == 401
    assert ask(keyed.stranger, "POST", "/free" + query).status == 401


@pytest.mark.parametrize(
    "token", [WRONG, "", "x", "dk_", WRONG[:-1], "\xff" * 60, "A" * 5000, "' OR 1=1 --"]
)
def test_a_wrong_key_is_refused(keyed: KeyedServer, token: str) -> None:
    for headers in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": token}):
        assert keyed.stranger.request("GET", "/queue", headers=headers).status == 401
    assert keyed.stranger.get("/queue", token=token).status == 401


def test_a_hash_is_no_key(keyed: KeyedServer) -> None:
    for key in key_file(keyed.base).read() or ():
        assert ask(keyed.stranger, "GET", "/queue", X_API_Key=key.sha256).status == 401


def test_paths_that_are_not_there_tell_strangers_nothing(keyed: KeyedServer) -> None:
    for path in ("/nothing", "/api/nothing", "/routes_pack/hello", "/api/routes_pack/hello"):
        assert ask(keyed.stranger, "GET", path).status == 401, path
    assert keyed.client("rita").get("/nothing").status == 404


def test_routes_of_packs_need_a_key_that_may_submit(keyed: KeyedServer) -> None:
    assert keyed.client("rita").get("/routes_pack/hello").status == 403
    reply = keyed.client("ann").get("/routes_pack/hello")
    assert (reply.status, reply.json()["hello"]) == (200, "world")


def test_paths_of_the_machine_are_for_admins(keyed: KeyedServer) -> None:
    ann, root = keyed.client("ann"), keyed.client("root")
    base = str(keyed.base)
    for path in ("/system_stats", "/experiment/models"):
        assert base not in ann.get(path).body.decode()
        assert base in root.get(path).body.decode()
    assert ann.get("/system_stats").json()["system"]["argv"] == []
    assert {"name": "vae", "folders": ["vae", "vae"]} in ann.get("/experiment/models").json()


def test_answers_are_not_kept_by_proxies(keyed: KeyedServer) -> None:
    for path in ("/queue", "/object_info", "/view?filename=x.png"):
        reply = keyed.client("ann").get(path)
        assert reply.status == 404 or reply.headers["cache-control"] == "private, no-cache"


def test_a_browser_signs_in_with_a_form(keyed: KeyedServer) -> None:
    stranger, key = keyed.stranger, keyed.keys["ann"]
    page = stranger.get("/")
    assert page.status == 401
    assert b'<form method="post" action="/sign_in">' in page.body
    assert "form-action 'self'" in page.headers["content-security-policy"]
    form = urllib.parse.urlencode({"token": key}).encode()
    reply = stranger.request("POST", "/sign_in", form)
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert_is_let_in(stranger, reply)


def test_a_link_with_a_key_signs_in_and_leads_to_the_bare_address(keyed: KeyedServer) -> None:
    reply = keyed.stranger.get("/", token=keyed.keys["ann"])
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert reply.headers["referrer-policy"] == "same-origin"
    assert_is_let_in(keyed.stranger, reply)


def assert_is_let_in(stranger: Client, reply: Reply) -> None:
    cookie = SimpleCookie(reply.headers["set-cookie"])["darkroom_key"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    sent = f"darkroom_key={cookie.value}"
    host = stranger.address.removeprefix("http://")
    assert ask(stranger, "GET", "/", Cookie=sent).status == 200
    assert ask(stranger, "GET", "/queue", Cookie=sent, Origin=stranger.address).status == 200
    assert websocket_status(stranger.address, cookie=sent, origin=stranger.address) == 101
    # Sites on other ports of this host get the cookie sent along, but are not believed.
    assert ask(stranger, "GET", "/queue", Cookie=sent, Sec_Fetch_Site="same-site").status == 401
    other = f"http://{host.partition(':')[0]}:1"
    assert ask(stranger, "POST", "/queue", Cookie=sent, Origin=other).status in (401, 403)
    assert websocket_status(stranger.address, cookie=sent, origin=other) in (401, 403)


def test_a_wrong_key_signs_nobody_in(keyed: KeyedServer) -> None:
    reply = keyed.stranger.request("POST", "/sign_in", f"token={WRONG}".encode())
    assert reply.status == 401
    assert b"not valid" in reply.body
    assert "set-cookie" not in reply.headers
    assert keyed.stranger.get("/", token=WRONG).status == 401
    assert keyed.stranger.request("POST", "/sign_in", b"token=" + b"x" * 9999).status == 400


def test_another_page_signs_nobody_in(keyed: KeyedServer) -> None:
    form = urllib.parse.urlencode({"token": keyed.keys["bob"]}).encode()
    for headers in ({"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        for path in ("/sign_in", "/sign_out"):
            reply = keyed.stranger.request("POST", path, form, headers)
            assert (reply.status, reply.headers.get("set-cookie")) == (403, None)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_on_another_page_signs_nobody_in(keyed: KeyedServer, site: str) -> None:
    """With its own key it would have its visitors upload to it; bookmarks have no such page."""
    path = "/?" + urllib.parse.urlencode({"token": keyed.keys["bob"]})
    reply = keyed.stranger.get(path, {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
    assert (reply.status, reply.headers.get("set-cookie")) == (403, None)
    assert b"<form" in reply.body
    assert keyed.stranger.get(path, {"Sec-Fetch-Site": "none"}).status == 303


def test_signing_out_forgets_the_cookie(keyed: KeyedServer) -> None:
    reply = keyed.stranger.request("POST", "/sign_out")
    assert (reply.status, reply.headers["location"]) == (303, "/sign_in")
    assert SimpleCookie(reply.headers["set-cookie"])["darkroom_key"].value == ""


def test_logs_tell_no_keys(keyed: KeyedServer) -> None:
    key = keyed.keys["ann"]
    keyed.stranger.get("/queue", {"Referer": f"http://x/?token={key}"})
    keyed.stranger.get("/queue", token=WRONG)
    keyed.stranger.get(f"/queue?next=%2F%3Ftoken%3D{key}")
    keyed.client("ann").get(f"/userdata/{key}")
    keyed.stranger.get("/queue", token=key, marker="seen")
    wait_until(
        lambda: any("marker=seen" in line for line in keyed.process.log), what="the line is logged"
    )
    kept = keyed.client("root").get("/internal/logs").body.decode()
    for text in ("\n".join(keyed.process.log), kept):
        assert "marker=seen" in text
        assert [token for token in (*keyed.keys.values(), WRONG) if token in text] == []
    keyed.process.wait_for_log("not valid, the last from 127.0.0.1 for /")


def run_keys(base: Path, *arguments: str) -> str:
    """The command, as people run it."""
    done = subprocess.run(
        [sys.executable, "-m", "server", "keys", *arguments, "--base-directory", str(base)],
        cwd=base,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_a_running_server_follows_the_command(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server()
    stranger = server.client
    with stranger.listen() as anonymous:
        assert stranger.get("/queue").status == 200
        ann = Client(server.address, key=run_keys(server.base, "create", "ann"))
        wait_until(lambda: stranger.get("/queue").status == 401, what="keys are in use")
        with pytest.raises((websocket.WebSocketException, OSError)):
            anonymous.wait_for("never")  # its socket is closed
    assert ann.get("/queue").status == 200
    with ann.listen() as listener:
        run_keys(server.base, "revoke", "ann")
        with pytest.raises((websocket.WebSocketException, OSError)):
            listener.wait_for("never")
    assert ann.get("/queue").status == 401
    assert stranger.get("/queue").status == 401  # the last key is gone: nobody, not everybody
    file = key_file(server.base).path
    file.unlink()
    bob = Client(server.address, key=run_keys(server.base, "create", "bob"))
    wait_until(lambda: bob.get("/queue").status == 200, what="a new file is read")
    good = file.read_bytes()
    file.write_bytes(b"{")
    wait_until(lambda: any("stay valid" in line for line in server.log), what="it is noticed")
    assert (bob.get("/queue").status, stranger.get("/queue").status) == (200, 401)
    file.write_bytes(good)


def test_a_server_can_wait_for_its_first_key(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server("--require-keys")
    assert server.client.get("/queue").status == 401
    ann = Client(server.address, key=run_keys(server.base, "create", "ann", "--scope", "read"))
    wait_until(lambda: ann.get("/queue").status == 200, what="the key is known")


def refusal(base: Path, *flags: str) -> str:
    """What a server says that does not start."""
    command = [sys.executable, str(ROOT / "main.py"), "--port", "0", "--cpu", *flags]
    done = subprocess.run(
        [*command, "--base-directory", str(base)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("listen", [["--listen"], ["--listen", "127.0.0.1,0.0.0.0"]])
def test_nobody_is_let_in_from_elsewhere_by_accident(tmp_path: Path, listen: list[str]) -> None:
    said = refusal(tmp_path, *listen)
    assert "darkroom keys create NAME --base-directory" in said
    assert "--allow-anonymous" in said
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_cannot_be_read_opens_nothing(tmp_path: Path) -> None:
    file = key_file(tmp_path).path
    file.parent.mkdir()
    file.write_text("[")
    assert f"'{file}' cannot be read" in refusal(tmp_path)


def test_with_a_key_others_may_be_listened_for(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    key = key_file(base).create("ann", Scope.READ)
    server = new_server("--listen", "0.0.0.0", base=base)
    server.address = server.address.replace("0.0.0.0", "127.0.0.1")
    assert server.client.get("/queue").status == 401
    assert Client(server.address, key=key).get("/queue").status == 200


def test_letting_everybody_in_is_said_in_the_log(
    new_server: Callable[..., ServerProcess],
) -> None:
    server = new_server("--listen", "0.0.0.0", "--allow-anonymous")
    server.wait_for_log("WARNING", "everybody")
