"""Node packs in a real server: their nodes, routes, messages, scripts, and what they may break."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.client import DEADLINE_S, Client, PromptFailed, wait_until
from tests.conftest import ROOT, ServerProcess, start_server

PREFIXES = pytest.mark.parametrize("prefix", ["", "/api"])

SINGLE = """
class Single:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT", {"default": 1, "max": 10**30})}}
    RETURN_TYPES = ("INT", "TYPE_OF_SINGLE")
    FUNCTION = "run"
    def run(self, number):
        return (number, -number)
NODE_CLASS_MAPPINGS = {"Single": Single}
"""


def install(base: Path, *packs: str, **files: str) -> Path:
    """Put test packs and single files into `custom_nodes`."""
    folder = base / "custom_nodes"
    folder.mkdir(parents=True, exist_ok=True)
    for pack in packs:
        shutil.copytree(ROOT / "tests" / "packs" / pack, folder / pack)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def reports(client: Client) -> dict[str, Any]:
    reply = client.get("/node_packs")
    assert reply.status == 200
    return {report["name"]: report for report in reply.json()}


@pytest.fixture(scope="module")
def packs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    base = tmp_path_factory.mktemp("packs")
    folder = install(
        base, "routes_pack", "flow_pack", single=SINGLE, broken="raise RuntimeError('a bug')"
    )
    (folder / "off.py.disabled").write_text("raise RuntimeError")
    (base / "elsewhere" / "far").mkdir(parents=True)
    (base / "elsewhere" / "far" / "__init__.py").write_text(SINGLE.replace("Single", "Far"))
    (base / "extra_model_paths.yaml").write_text("more:\n  custom_nodes: elsewhere\n")
    server = start_server(base)
    reports(server.client)  # once it answers the packs are loaded
    yield server
    server.stop()


@pytest.fixture
def client(packs_server: ServerProcess) -> Client:
    return packs_server.client


# Loading


def test_all_packs_are_reported(client: Client, packs_server: ServerProcess) -> None:
    found = reports(client)
    assert list(found) == ["broken", "flow_pack", "routes_pack", "single", "far"]
    assert found["routes_pack"] == {
        "name": "routes_pack",
        "path": str(packs_server.base / "custom_nodes" / "routes_pack"),
        "seconds": found["routes_pack"]["seconds"],
        "nodes": 2,
        "error": None,
        "web": ["/extensions/routes_pack"],
    }
    assert found["broken"]["error"].startswith("RuntimeError: a bug (line 1 of")
    assert (found["far"]["nodes"], found["single"]["nodes"]) == (1, 1)
    packs_server.wait_for_log("LEFT OUT: RuntimeError: a bug")


def test_nodes_of_packs_are_described(client: Client) -> None:
    infos = client.get("/object_info").json()
    assert infos["RoutesPackShout"]["display_name"] == "Shout 📢"
    assert infos["RoutesPackShout"]["python_module"] == "custom_nodes.routes_pack"
    assert infos["FlowPackShow"]["input"]["required"]["value"] == ["*", {}]
    assert infos["Single"]["input"]["required"]["number"][1]["max"] == 1e30
    assert infos["Far"]["python_module"] == "custom_nodes.far"
    # A clash with a built-in node, which is the one that is kept.
    assert infos["KSampler"]["python_module"] == "nodes"
    assert infos["KSampler"]["display_name"] == "KSampler"


# Routes


@PREFIXES
def test_a_route_answers_with_and_without_the_prefix(client: Client, prefix: str) -> None:
    reply = client.get(f"{prefix}/routes_pack/hello", name="a b&c")
    assert reply.status == 200
    assert reply.json() == {"hello": "a b&c", "path": f"{prefix}/routes_pack/hello"}


def test_bodies_reach_the_pack_and_its_answer_comes_back(client: Client) -> None:
    assert client.post("/routes_pack/echo", {"a": [1, None]}).json() == {
        "got": {"a": [1, None]},
        "user": "default",
    }
    reply = client.upload("/routes_pack/form", "a.png", b"\0" * 5000, more="text")
    assert reply.json() == {"more": "text", "image": "a.png"}
    large = bytes(20 * 1024 * 1024)
    reply = client.request("PUT", "/routes_pack/upload", large)
    assert reply.json() == {"size": len(large), "length": len(large)}


def test_a_body_without_a_length_and_a_compressed_one_reach_the_pack(client: Client) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * 1000

    request = urllib.request.Request(
        client.address + "/routes_pack/upload", data=pieces(), method="PUT"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer) == {"size": 5000, "length": None}
    packed = gzip.compress(b'{"a": 1}')
    reply = client.post("/routes_pack/echo", packed, {"Content-Encoding": "gzip"})
    assert reply.json()["got"] == {"a": 1}


def test_status_and_headers_of_a_pack_are_passed_on(client: Client) -> None:
    with urllib.request.urlopen(f"{client.address}/routes_pack/items/x%20y", timeout=60) as answer:
        assert json.load(answer) == {"item": "x y"}
        assert answer.headers["X-Item"] == "x y"
        cookies = answer.headers.get_all("Set-Cookie")
        assert [cookie.partition(";")[0] for cookie in cookies] == ["first=1", "second=2"]
    missing = client.get("/routes_pack/items/missing")
    assert (missing.status, missing.body) == (404, b"no such item")
    assert client.get("/routes_pack/items/broken").status == 500
    head = client.request("HEAD", "/routes_pack/hello")
    assert (head.status, head.body) == (200, b"")


def test_headers_of_one_connection_are_not_passed_on(client: Client) -> None:
    sent = {"X-Mine": "1", "X-Hop": "2", "Connection": "close, X-Hop", "Cookie": "a=b"}
    connection = http.client.HTTPConnection(client.address.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/routes_pack/headers", headers=sent)
        seen = dict(json.load(connection.getresponse()))
    assert seen["x-mine"] == "1"
    assert seen["cookie"] == "a=b"
    assert seen["host"] == client.address.removeprefix("http://")
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert "x-hop" not in seen


def test_a_stream_arrives_while_it_is_made(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    url = f"{client.address}/routes_pack/stream?wait_for={gate}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        lines = [answer.readline() for _ in range(6)]
        assert lines[4] == b'data: {"number": 2}\n'
        gate.touch()
        assert answer.read() == b"data: end\n\n"


def test_an_answer_that_breaks_off_is_not_made_whole(client: Client) -> None:
    with (
        urllib.request.urlopen(f"{client.address}/routes_pack/break", timeout=60) as answer,
        pytest.raises((http.client.IncompleteRead, ConnectionError)),
    ):
        answer.read()
    assert client.get("/routes_pack/hello").status == 200


def test_routes_added_to_the_application_itself_and_static_files_are_served(
    client: Client,
) -> None:
    assert client.get("/routes_pack/direct").json() == "added to the application itself"
    reply = client.get("/routes_pack/files/style.css")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-cache")
    assert client.get("/routes_pack/files/../__init__.py").status == 404
    assert client.get("/routes_pack/files/none.css").status in (403, 404)


@PREFIXES
def test_built_in_routes_win_but_other_methods_are_free(client: Client, prefix: str) -> None:
    assert set(client.get(f"{prefix}/queue").json()) == {"queue_running", "queue_pending"}
    assert client.request("DELETE", f"{prefix}/queue").json() == "seen"
    assert client.request("DELETE", f"{prefix}/history").status == 405


@PREFIXES
def test_a_path_that_nobody_serves_is_a_404(client: Client, prefix: str) -> None:
    reply = client.get(f"{prefix}/routes_pack/nothing")
    assert reply.status == 404
    assert reply.json()["error"]["message"]
    assert client.post("/.darkroom/prompt", {}).status == 404


def test_foreign_pages_do_not_reach_packs(client: Client) -> None:
    reply = client.get("/routes_pack/hello", {"Origin": "https://elsewhere.example"})
    assert (reply.status, reply.body) == (403, b"")


def test_start_up_code_and_tasks_of_packs_run(client: Client) -> None:
    state = client.get("/routes_pack/state").json()
    assert (state["started"], state["background"]) == (True, True)


def test_a_pack_can_ask_for_queue_and_history(client: Client) -> None:
    graph = {"1": node("Single", number=5), "2": node("FlowPackShow", value=["1", 0])}
    prompt_id = client.submit(graph)
    client.wait(prompt_id)
    answer = client.get("/routes_pack/queue").json()
    assert prompt_id in answer["history"]
    assert answer["remaining"] == 0


# WebSockets


def open_socket(client: Client, path: str, **options: Any) -> websocket.WebSocket:
    url = f"ws{client.address.removeprefix('http')}{path}"
    return websocket.create_connection(url, timeout=DEADLINE_S, **options)


@PREFIXES
def test_a_socket_of_a_pack_carries_text_and_bytes(client: Client, prefix: str) -> None:
    socket = open_socket(
        client, f"{prefix}/routes_pack/socket", subprotocols=["other", "routes.v1"]
    )
    assert socket.getsubprotocol() == "routes.v1"
    socket.send("hello")
    assert socket.recv() == "olleh"
    socket.send_binary(bytes(range(200)))
    assert socket.recv() == bytes(range(200))[::-1]
    socket.send("x" * 300_000)
    assert len(socket.recv()) == 300_000
    socket.close()
    wait_until(
        lambda: client.get("/routes_pack/state").json().get("socket_closed") == 1000,
        what="the pack notices that the client has gone",
    )


def test_the_code_with_which_a_pack_closes_reaches_the_client(client: Client) -> None:
    socket = open_socket(client, "/routes_pack/socket")
    socket.send("bye")
    opcode, data = socket.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(data[:2], "big") == 4001
    socket.shutdown()


def test_a_route_that_takes_no_socket_refuses_it(client: Client) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        open_socket(client, "/routes_pack/hello")
    assert caught.value.status_code in (200, 400, 502)
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        open_socket(client, "/routes_pack/none")
    assert caught.value.status_code == 404


# Messages


def test_nodes_send_messages_of_their_own(client: Client) -> None:
    graph = {
        "1": node("RoutesPackShout", text="abc", prefix=">"),
        "2": node("RoutesPackShow", text=["1", 0]),
    }
    with client.listen() as listener, client.__class__(client.address).listen("other") as other:
        prompt_id = client.submit(graph)
        shouted = listener.wait_for("routes_pack.shouted")
        shown = listener.wait_for("routes_pack.show")
        listener.wait_for_end(prompt_id)
        assert other.wait_for("routes_pack.shouted") == shouted
        client.post("/routes_pack/tell", {"n": 1})
        assert other.wait_for("routes_pack.told") == {"n": 1}
        assert "routes_pack.show" not in other.kinds()
    assert shouted == {"node": "1", "text": ">ABC", "client": client.client_id}
    assert shown == {
        "prompt": prompt_id,
        "node": "2",
        "running": [prompt_id],
        "remaining": 1,
        "score": 0.5,
    }
    text, picture = listener.frames
    assert text == b"\0\0\0\3\0\0\0\x011>ABC"
    assert picture.startswith(b"\0\0\0\1\0\0\0\2\x89PNG")
    assert int.from_bytes(picture[24:28], "big") == 16  # the width, shrunk to fit


def test_routes_send_messages_to_all(client: Client) -> None:
    with client.listen() as listener, Client(client.address).listen() as other:
        assert client.post("/routes_pack/tell", {"n": [1]}).status == 204
        for each in (listener, other):
            assert each.wait_for("routes_pack.told") == {"n": [1]}
            assert each.receive() == b"\0\0\0\1\0\0\0\2raw bytes"


# Prompt handlers


def test_prompts_are_changed_before_they_are_checked(client: Client) -> None:
    graph = {
        "1": node("RoutesPackShout", text="%date%"),
        "2": node("RoutesPackShow", text=["1", 0]),
    }
    assert client.run(graph)["outputs"]["2"]["text"] == ["TODAY"]


def test_a_handler_that_fails_changes_nothing(client: Client) -> None:
    graph = {
        "1": node("RoutesPackShout", text="%fail%"),
        "2": node("RoutesPackShow", text=["1", 0]),
    }
    assert client.run(graph)["outputs"]["2"]["text"] == ["%FAIL%"]


def test_a_body_that_is_no_prompt_is_refused_as_ever(client: Client) -> None:
    assert client.post("/prompt", b"[1]").status == 400
    assert client.post("/prompt", b"{").status == 400
    assert client.post("/prompt", {"prompt": [1]}).status == 400


# Files for browsers


@PREFIXES
def test_scripts_of_packs_are_listed_and_served(client: Client, prefix: str) -> None:
    script = "/extensions/routes_pack/js/routes.js"
    listed = client.get(f"{prefix}/extensions").json()
    assert listed.count(script) == 1
    reply = client.get(prefix + script)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert b"registerExtension" in reply.body
    assert client.get(f"{prefix}/extensions/routes_pack/style.css").status == 200


@pytest.mark.parametrize("path", ["../nodes.py", "%2e%2e/nodes.py", "..%2fnodes.py", "none.js", ""])
def test_nothing_else_of_a_pack_is_served(client: Client, path: str) -> None:
    assert client.get(f"/extensions/routes_pack/{path}").status == 404
    assert client.get("/extensions/flow_pack/flow.py").status == 404


# Nodes that steer a graph


def shown(client: Client, graph: dict[str, Any]) -> Any:
    entry = client.run(graph)
    return entry["outputs"]["show"]["values"]


def test_lists_are_mapped_and_joined(client: Client) -> None:
    graph = {
        "range": node("FlowPackRange", count=4),
        "add": node("FlowPackAdd", a=["range", 0], b=10),
        "sum": node("FlowPackSum", values=["add", 0]),
        "show": node("FlowPackShow", value=["sum", 0]),
    }
    assert shown(client, graph) == [46]


def test_a_type_that_fits_all_takes_types_of_other_packs(client: Client) -> None:
    graph = {"one": node("Single", number=7), "show": node("FlowPackShow", value=["one", 1])}
    assert shown(client, graph) == [-7]


def test_only_the_chosen_side_of_a_switch_runs(client: Client) -> None:
    graph = {
        "fail": node("FlowPackFail", text="must not run"),
        "good": node("Single", number=7),
        "switch": node("FlowPackSwitch", on=False, if_on=["fail", 0], if_off=["good", 0]),
        "show": node("FlowPackShow", value=["switch", 0]),
    }
    assert shown(client, graph) == [7]
    graph["switch"]["inputs"]["on"] = True
    with pytest.raises(PromptFailed, match="must not run"):
        client.run(graph)


def test_inputs_that_a_class_does_not_list_are_lazy_if_it_says_so(client: Client) -> None:
    graph = {
        "fail": node("FlowPackFail", text="must not run"),
        "good": node("FlowPackAdd", a=1, b=1),
        "select": node("FlowPackSelect", select=3, input2=["fail", 0], input3=["good", 0]),
        "show": node("FlowPackShow", value=["select", 0]),
    }
    assert shown(client, graph) == [2]


def test_literals_that_only_a_dict_of_hidden_inputs_contains_are_passed(client: Client) -> None:
    graph = {
        "widgets": node("FlowPackWidgets", crf=19, unique_id="not this"),
        "show": node("FlowPackShow", value=["widgets", 0]),
    }
    assert shown(client, graph) == ["widgets: {'crf': 19}"]


def test_what_packs_registered_for_the_end_runs_when_the_server_stops(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base, ended = tmp_path / "base", tmp_path / "ended"
    install(
        base,
        a_fails="import atexit\natexit.register(lambda: 1 / 0)\n" + SINGLE,
        b_ends=f"import atexit, pathlib\natexit.register(pathlib.Path({str(ended)!r}).touch)\n"
        + SINGLE.replace("Single", "Other"),
    )
    server = new_server(base=base)
    assert reports(server.client)["b_ends"]["error"] is None
    assert not ended.exists()
    server.stop()
    assert ended.exists()


def test_a_loop_by_expansion_runs_to_its_end(client: Client) -> None:
    graph = {
        "one": node("Single", number=1),
        "repeat": node("FlowPackRepeat", start=["one", 0], step=2, times=30),
        "show": node("FlowPackShow", value=["repeat", 0]),
    }
    assert shown(client, graph) == [61]


def test_async_nodes_work_at_the_same_time(client: Client, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    graph = {
        "a": node("FlowPackSlow", value=1, gate=gate),
        "b": node("FlowPackSlow", value=2, gate=gate),
        "add": node("FlowPackAdd", a=["a", 0], b=["b", 0]),
        "show": node("FlowPackShow", value=["add", 0]),
    }
    assert shown(client, graph) == [3]


def test_a_changed_file_is_read_again_and_a_missing_one_is_refused(
    client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "text.txt"
    graph = {
        "file": node("FlowPackFile", path=str(file)),
        "always": node("FlowPackAlways"),
        "show": node("FlowPackShow", value=["file", 0]),
        "more": node("FlowPackShow", value=["always", 0]),
    }
    with pytest.raises(PromptFailed, match="there is no file"):
        client.submit({key: graph[key] for key in ("file", "show")})
    file.write_text("one")
    first = client.run(graph)["outputs"]
    file.write_text("two")
    second = client.run(graph)["outputs"]
    assert (first["show"]["values"], second["show"]["values"]) == (["one"], ["two"])
    assert first["more"] != second["more"]


# Servers of their own


def test_packs_that_end_or_hold_up_the_worker_are_left_out(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    install(
        base,
        a_good=SINGLE,
        exits="import os; os._exit(3)",
        hangs="import time\nwhile True: time.sleep(1)",
        crashes="import ctypes; ctypes.string_at(0)",
        z_good=SINGLE.replace("Single", "Last"),
    )
    server = new_server(base=base, environ={"DARKROOM_PACK_IMPORT_TIMEOUT": "3"})
    client = server.client
    found = reports(client)
    assert "ended with exit code 3" in found["exits"]["error"]
    assert "a node pack took longer than 3 s to import" in found["hangs"]["error"]
    assert "SIGSEGV" in found["crashes"]["error"]
    assert [found[name]["error"] for name in ("a_good", "z_good")] == [None, None]
    server.wait_for_log("hangs.py", "line 2")  # where it hung
    infos = client.get("/object_info").json()
    assert {"Single", "Last"} <= set(infos)
    image = node("EmptyImage", width=16, height=16, batch_size=1, color=0)
    client.run({"1": image, "2": node("PreviewImage", images=["1", 0])})


def test_a_warm_start_knows_the_packs_before_they_are_loaded(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base, hold = tmp_path / "base", tmp_path / "hold"
    folder = install(
        base,
        "routes_pack",
        a_gate=f"import os, time\nwhile os.path.exists({str(hold)!r}): time.sleep(0.01)\n" + SINGLE,
        mended=f"assert os.path.exists({str(tmp_path / 'needed')!r})\n".replace(
            "assert", "import os\nassert"
        )
        + SINGLE.replace("Single", "Mended"),
    )
    assert folder.is_dir()
    first = new_server(base=base)
    before = reports(first.client)
    assert before["mended"]["error"] is not None
    first.stop()

    hold.touch()
    (tmp_path / "needed").touch()
    impatient = new_server(base=base, environ={"DARKROOM_STARTUP_WAIT": "0.1"})
    refused = impatient.client.get("/routes_pack/hello")
    assert (refused.status, refused.json()["error"]["type"]) == (503, "not_ready")
    impatient.stop()
    client = new_server(base=base).client
    assert "RoutesPackShout" in client.get("/object_info").json()
    assert reports(client) == before
    assert "/extensions/routes_pack/js/routes.js" in client.get("/extensions").json()
    assert client.get("/extensions/routes_pack/js/routes.js").status == 200
    assert client.get("/routes_pack/nothing").status == 404
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.get, "/routes_pack/hello")
        assert not waiting.done()
        hold.unlink()
        assert waiting.result().status == 200
    # What was broken is tried again at each start.
    assert reports(client)["mended"]["error"] is None
    assert "Mended" in client.get("/object_info").json()


def test_a_handler_that_hangs_holds_a_prompt_up_only_so_long(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    hang = (
        "import time\nfrom server import PromptServer\n"
        "def hang(data):\n"
        "    while True: time.sleep(1)\n"
        "PromptServer.instance.add_on_prompt_handler(hang)\n"
    )
    install(base, hang=SINGLE + hang)
    client = new_server(base=base, environ={"DARKROOM_PROMPT_HOOK_TIMEOUT": "1"}).client
    reports(client)
    graph = {
        "1": node("EmptyImage", width=16, height=16, batch_size=1, color=0),
        "2": node("PreviewImage", images=["1", 0]),
    }
    client.run(graph)
    began = time.monotonic()
    client.run(graph)  # the first one still hangs: the next is not even tried
    assert time.monotonic() - began < 20


def test_packs_can_be_switched_off_all_but_some(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    install(base, "routes_pack", single=SINGLE, other=SINGLE.replace("Single", "Other"))
    flags = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", "single.py")
    client = new_server(*flags, base=base).client
    assert list(reports(client)) == ["single"]
    infos = client.get("/object_info").json()
    assert "Single" in infos
    assert not {"Other", "RoutesPackShout"} & set(infos)
    assert client.get("/routes_pack/hello").status == 404
    assert "/extensions/routes_pack/js/routes.js" not in client.get("/extensions").json()


def test_many_requests_at_once_are_answered(client: Client) -> None:
    statuses: list[int] = []

    def ask() -> None:
        for _ in range(10):
            statuses.append(client.get("/routes_pack/hello").status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80
