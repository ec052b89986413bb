"""More than a server takes: each excess gets a clear answer, and the next client is served."""

from __future__ import annotations

import functools
import gzip
import io
import json
import resource
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
import websocket
from PIL import Image

from tests.client import Client, Listener, Reply, wait_until
from tests.conftest import ServerProcess, start_server
from tests.server.graphs import slow_graph

IDLE_S: Final = 1.5
BODY_S: Final = 1.0
DEADLINE_S: Final = 20.0


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with tight limits."""
    server = start_server(
        tmp_path_factory.mktemp("strict"),
        *("--queue-limit", "3", "--max-upload-size", "4", "--max-image-pixels", "1"),
        environ={
            "DARKROOM_MAX_GRAPH_NODES": "100",
            "DARKROOM_MAX_JSON_DEPTH": "100",
            "DARKROOM_IDLE_TIMEOUT": str(IDLE_S),
            "DARKROOM_BODY_TIMEOUT": str(BODY_S),
            "DARKROOM_BODY_MIN_SPEED": "10",
            "DARKROOM_WEBSOCKET_LIMIT": "5",
            "DARKROOM_WEBSOCKET_BUFFER": "1",
        },
    )
    yield server
    server.stop()


@pytest.fixture
def client(strict: ServerProcess) -> Client:
    return strict.client


def error(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = reply.json()["error"]
    assert found["message"]
    return found


# The queue


def test_a_full_queue_refuses_prompts_until_there_is_room(client: Client) -> None:
    def submit(_: int) -> Reply:
        return client.post("/prompt", {"prompt": slow_graph()})

    client.get("/object_info")
    with ThreadPoolExecutor(8) as many:
        replies = list(many.map(submit, range(8)))
    refused = [reply for reply in replies if reply.status != 200]
    assert [reply.status for reply in refused] == [429] * 5
    for reply in refused:
        assert int(reply.headers["retry-after"]) > 0
        assert error(reply)["type"] == "queue_full"
        assert reply.json()["node_errors"] == {}
    assert client.get("/prompt").json()["exec_info"]["queue_remaining"] == 3
    client.post("/queue", {"clear": True})
    client.post("/interrupt")
    wait_until(
        lambda: client.get("/prompt").json()["exec_info"]["queue_remaining"] == 0,
        what="it is empty",
    )
    prompt_id = client.submit(slow_graph())
    client.post("/interrupt")
    client.wait(prompt_id)


# Bodies


def resident_bytes(server: ServerProcess, field: str) -> int:
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field}")


@functools.cache
def gzip_bomb(head: bytes) -> bytes:
    return gzip.compress(head + bytes(160 * 2**20), 9)


@pytest.mark.parametrize(
    "path",
    ["/prompt", "/queue", "/settings", "/userdata/bomb", "/upload/image", "/api/jobs/cancel"],
)
def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(
    strict: ServerProcess, client: Client, path: str
) -> None:
    head, kind = b"", "application/json"
    if path == "/upload/image":
        head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="bomb"\r\n\r\n'
        kind = "multipart/form-data; boundary=b"
    bomb = gzip_bomb(head)
    assert len(bomb) < 2**20
    before = resident_bytes(strict, "VmHWM")
    reply = client.post(path, bomb, {"Content-Encoding": "gzip", "Content-Type": kind})
    assert (reply.status, error(reply)["type"]) == (413, "too_large")
    assert resident_bytes(strict, "VmHWM") - before < 64 * 2**20


@pytest.mark.parametrize("depth", [101, 500, 5_000, 100_000])
@pytest.mark.parametrize("place", ["prompt", "extra_data", "client_id", "the whole"])
def test_a_body_nested_too_deeply_is_refused(client: Client, depth: int, place: str) -> None:
    deep = b"[" * depth + b"]" * depth
    body = deep if place == "the whole" else b'{"%s": %s}' % (place.encode(), deep)
    reply = client.post("/prompt", body)
    assert reply.status == 400
    assert "deep" in error(reply)["message"]


def test_a_body_as_deep_as_allowed_is_kept_and_comes_back(client: Client) -> None:
    deep: Any = 1
    for _ in range(95):
        deep = [deep]
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "deep"}},
    }
    entry = client.run(graph, extra_data={"extra_pnginfo": {"workflow": deep}})
    assert entry["prompt"][3]["extra_pnginfo"]["workflow"] == deep


def test_a_graph_of_too_many_nodes_is_refused(client: Client) -> None:
    node = {"class_type": "PreviewImage", "inputs": {}}
    reply = client.post("/prompt", {"prompt": {str(number): node for number in range(101)}})
    assert (reply.status, error(reply)["type"]) == (400, "graph_too_large")
    assert reply.json()["node_errors"] == {}


ODD: Final[list[Any]] = [None, True, 0, -1.5, "", "x", [], [1], {}, {"a": {"b": []}}]


@pytest.mark.parametrize("value", ODD, ids=json.dumps)
@pytest.mark.parametrize("field", ["client_id", "extra_data", "prompt", "number", "prompt_id"])
def test_a_field_of_any_shape_gets_an_answer_and_history_stays_readable(
    client: Client, field: str, value: Any
) -> None:
    graph = {"1": {"class_type": "PreviewImage"}, "2": {"class_type": "PreviewImage", "inputs": []}}
    reply = client.post("/prompt", {"prompt": graph, field: value})
    assert reply.status == 400
    assert error(reply)["type"]
    for path in ("/history", "/queue", "/api/jobs"):
        assert client.get(path).status == 200


@pytest.mark.parametrize("node", [{}, [], 1, None, {"class_type": []}, {"class_type": "SaveImage"}])
def test_a_node_without_inputs_is_refused_by_name(client: Client, node: Any) -> None:
    reply = client.post("/prompt", {"prompt": {"7": node}})
    assert reply.status == 400
    assert "7" in reply.body.decode()


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_lacks_do_not_come_out(client: Client, text: str) -> None:
    graph = (
        '{"1": {"class_type": "EmptyImage", "inputs": '
        '{"width": 8, "height": 8, "batch_size": 1, "color": 0}},'
        '"2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}'
    )
    body = f'{{"prompt": {graph}, "extra_data": {{"odd": {text}}}}}'
    reply = client.post("/prompt", body.encode())
    assert reply.status == 200
    prompt_id = reply.json()["prompt_id"]
    client.wait(prompt_id)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for path in (f"/history/{prompt_id}", "/history", "/api/jobs", f"/api/jobs/{prompt_id}"):
        json.loads(client.get(path).body, parse_constant=refuse)


def test_a_lone_surrogate_is_refused(client: Client) -> None:
    reply = client.post("/prompt", b'{"prompt": {}, "client_id": "\\ud800"}')
    assert reply.status == 400


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/settings", "/free", "/api/jobs/cancel"])
def test_a_body_that_is_no_text_is_refused(client: Client, path: str) -> None:
    assert client.post(path, b'{"client_id": "\xe9"}').status == 400


def test_an_expectation_that_nobody_can_meet_is_refused_in_json(client: Client) -> None:
    reply = client.post("/queue", {}, {"Expect": "the unexpected"})
    assert (reply.status, error(reply)["type"]) == (417, "bad_request")


def test_a_form_of_very_many_parts_is_refused_at_once(client: Client) -> None:
    part = '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = client.post("/upload/image", (part * 20_000 + "--b--").encode(), kind)
    assert reply.status == 400
    assert "parts" in error(reply)["message"]


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"x" * 2**20,
        b"\r\n".join(b"X-%d: y" % number for number in range(20_000)),
        b"no header at all",
        b": no name",
        b"X: \x00\xff",
    ],
    ids=["long", "many", "no header", "no name", "bytes"],
)
def test_a_part_with_a_head_that_is_none_is_refused(client: Client, head: bytes) -> None:
    disposition = b'Content-Disposition: form-data; name="image"; filename="x.png"'
    body = b"--b\r\n" + disposition + b"\r\n" + head + b"\r\n\r\nx\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = client.post("/upload/image", body, kind)
    assert reply.status == 400
    assert error(reply)["type"] == "bad_request"
    assert client.get("/view", filename="x.png", type="input").status == 404


@pytest.mark.parametrize(
    "disposition",
    [b"form-data", b"form-data; name=", b"attachment", b'form-data; filename="y.png"', b""],
)
def test_a_part_without_a_name_is_passed_over(client: Client, disposition: bytes) -> None:
    nameless = b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\nnothing\r\n"
    named = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="named.txt"\r\n\r\n'
        b"content\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client.post("/upload/image", nameless + b"--b--\r\n", kind).status == 400
    reply = client.post("/upload/image", nameless + named + b"--b--\r\n", kind)
    assert (reply.status, reply.json()["name"]) == (200, "named.txt")
    assert client.get("/view", filename="named.txt", type="input").body == b"content"


# Pictures


def png_header(width: int, height: int) -> bytes:
    """A tiny file that says it is a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * width) * min(height, 100), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def gif_of_many_frames() -> bytes:
    """Small frames, but together more than may be."""
    buffer = io.BytesIO()
    frames = [Image.new("L", (500, 500), 30 * number) for number in range(8)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=10)
    return buffer.getvalue()


BOMBS: Final = {
    "just over the limit": png_header(1001, 1000),
    "over the double of it": png_header(2000, 2000),
    "huge": png_header(60_000, 60_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_bomb_is_not_taken_in(strict: ServerProcess, client: Client, name: str) -> None:
    reply = client.upload("/upload/image", "refused.dat", BOMBS[name])
    assert (reply.status, error(reply)["type"]) == (400, "bad_request")
    assert "max_image_pixels" in error(reply)["details"] or "limit" in error(reply)["details"]
    assert not (strict.base / "input" / "refused.dat").exists()


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize(
    "query", [{"preview": "webp"}, {"preview": "jpeg;50"}, {"channel": "rgb"}, {"channel": "a"}]
)
def test_a_picture_bomb_is_not_shown(
    strict: ServerProcess, client: Client, name: str, query: dict[str, Any]
) -> None:
    (strict.base / "input" / "bomb.png").write_bytes(BOMBS[name])
    reply = client.get("/view", filename="bomb.png", type="input", **query)
    assert reply.status == 400
    assert "limit" in error(reply)["details"] or "max_image_pixels" in error(reply)["details"]


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_bomb_is_no_mask_and_takes_none(
    strict: ServerProcess, client: Client, name: str
) -> None:
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "PNG")
    (strict.base / "input" / "bomb.png").write_bytes(BOMBS[name])
    client.upload("/upload/image", "small.png", small.getvalue(), overwrite="true")
    for original, mask in (("bomb.png", small.getvalue()), ("small.png", BOMBS[name])):
        reference = json.dumps({"filename": original, "type": "input"})
        reply = client.upload("/upload/mask", "m.png", mask, original_ref=reference)
        assert (reply.status, error(reply)["type"]) == (400, "bad_request")


@pytest.mark.parametrize("name", BOMBS)
def test_a_node_does_not_read_a_picture_bomb(
    strict: ServerProcess, client: Client, name: str
) -> None:
    (strict.base / "input" / "node.png").write_bytes(BOMBS[name])
    graph: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "node.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    assert_too_large(client, graph)


def test_a_node_does_not_read_more_frames_than_pixels_allow(client: Client) -> None:
    client.upload("/upload/image", "frames.gif", gif_of_many_frames())
    graph: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "frames.gif"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    assert_too_large(client, graph)


def assert_too_large(client: Client, graph: dict[str, Any]) -> None:
    entry = client.wait(client.submit(graph))
    [failure] = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert failure["node_id"] == "1"
    assert "max_image_pixels" in failure["exception_message"]


# Slow clients


@pytest.fixture
def connect(client: Client) -> Iterator[Callable[[], socket.socket]]:
    host, _, port = client.address.removeprefix("http://").partition(":")
    opened: list[socket.socket] = []

    def start() -> socket.socket:
        opened.append(socket.create_connection((host, int(port)), timeout=DEADLINE_S))
        return opened[-1]

    yield start
    for connection in opened:
        connection.close()


def test_a_head_that_never_ends_is_cut_off(
    client: Client, connect: Callable[[], socket.socket]
) -> None:
    slow = connect()
    slow.settimeout(0.1)
    slow.sendall(b"GET /queue HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    began = time.monotonic()
    while True:  # one more header again and again
        try:
            slow.sendall(b"X-More: x\r\n")
            if slow.recv(1000) == b"":
                break
        except TimeoutError:
            assert time.monotonic() < began + DEADLINE_S
        except ConnectionError:
            break
        assert client.get("/queue").status == 200  # the others are served meanwhile
    assert time.monotonic() - began >= IDLE_S - 0.5


def test_a_connection_that_says_nothing_more_is_closed(
    connect: Callable[[], socket.socket],
) -> None:
    silent = connect()
    assert silent.recv(1000) == b""
    used = connect()
    used.sendall(b"GET /features HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    received = b""
    while piece := used.recv(65536):
        received += piece
    assert received.startswith(b"HTTP/1.1 200")


CUT_SHORT: Final = {
    "a JSON body": (b"/prompt", b"application/json", b'{"prompt": {'),
    "a form": (
        b"/upload/image",
        b"multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="half"\r\n\r\nha',
    ),
    "the head of a part": (
        b"/upload/image",
        b"multipart/form-data; boundary=b",
        b"--b\r\nContent-Dispo",
    ),
    "a user's file": (b"/userdata/half", b"text/plain", b"ha"),
}


@pytest.mark.parametrize("body", CUT_SHORT)
def test_a_body_that_stops_coming_is_given_up(
    client: Client, connect: Callable[[], socket.socket], body: str
) -> None:
    path, kind, start = CUT_SHORT[body]
    slow = connect()
    slow.sendall(
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n%s"
        % (path, kind, start)
    )
    assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert client.get("/queue").status == 200


@pytest.mark.parametrize("body", CUT_SHORT)
def test_a_body_cut_short_leaves_nothing_behind(
    strict: ServerProcess, client: Client, connect: Callable[[], socket.socket], body: str
) -> None:
    path, kind, start = CUT_SHORT[body]
    cut = connect()
    cut.sendall(
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n%s"
        % (path, kind, start)
    )
    cut.close()
    assert client.get("/queue").status == 200
    assert list(strict.base.glob("*/half*")) == []
    assert client.get("/userdata/half").status == 404
    assert not [line for line in strict.log if "Traceback" in line]


def test_a_slow_but_steady_body_arrives(connect: Callable[[], socket.socket]) -> None:
    steady = connect()
    steady.sendall(
        b"POST /userdata/steady HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 61440\r\n\r\n"
    )
    end = time.monotonic() + 2.4 * BODY_S
    for _ in range(12):
        steady.sendall(bytes(5120))
        time.sleep(max(0.0, min(0.2, end - time.monotonic())))
    assert steady.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_trickles_is_given_up(
    client: Client, connect: Callable[[], socket.socket]
) -> None:
    slow = connect()
    slow.settimeout(0.1)
    slow.sendall(b"POST /prompt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n")
    began = time.monotonic()
    answer = b""
    while not answer:
        slow.sendall(b" ")
        try:
            answer = slow.recv(1000)
        except TimeoutError:
            assert time.monotonic() < began + DEADLINE_S
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began >= BODY_S - 0.2
    assert client.get("/queue").status == 200


def test_more_connections_than_files_wait_and_fill_no_log(
    strict: ServerProcess, client: Client, connect: Callable[[], socket.socket]
) -> None:
    process_id, limit = strict.process.pid, resource.RLIMIT_NOFILE
    before, lines = resource.prlimit(process_id, limit), len(strict.log)
    resource.prlimit(process_id, limit, (64, before[1]))
    try:
        many = [connect() for _ in range(100)]
        wait_until(
            lambda: any("connections wait" in line for line in strict.log[lines:]),
            what="the server says so",
        )
        for connection in many:
            connection.close()
        assert client.get("/queue").status == 200
    finally:
        resource.prlimit(process_id, limit, before)
    assert len(strict.log) - lines < 50


# WebSockets


def test_a_key_that_is_no_text_opens_no_websocket(
    connect: Callable[[], socket.socket],
) -> None:
    odd = connect()
    odd.sendall(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\xff\r\n\r\n"
    )
    assert odd.recv(1000).startswith(b"HTTP/1.1 400 ")


def join_when_there_is_room(client: Client, name: str) -> Listener:
    def join() -> Listener | None:
        try:
            return Listener(client.address, name)
        except websocket.WebSocketBadStatusException:
            return None

    listener: Listener = wait_until(join, what="there is room for a WebSocket")
    return listener


def test_no_more_websockets_are_open_than_allowed(client: Client) -> None:
    opened = [join_when_there_is_room(client, f"client {number}") for number in range(5)]
    try:
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            Listener(client.address, "one too many")
        assert refused.value.status_code == 503
        opened.pop().socket.close()
        opened.append(join_when_there_is_room(client, "late"))
        opened[-1].wait_for("status")
    finally:
        for listener in opened:
            listener.socket.close()


def test_hundreds_of_sockets_that_come_and_go_leave_nothing_behind(
    strict: ServerProcess, client: Client
) -> None:
    descriptors = Path(f"/proc/{strict.process.pid}/fd")
    client.run(slow_graph(1))  # all that the server opens for itself is open then
    before = len(list(descriptors.iterdir()))
    for number in range(300):
        listener = join_when_there_is_room(client, f"client {number % 7}")
        if number % 2:
            listener.socket.close()
        else:
            listener.socket.shutdown()  # without a word
    wait_until(
        lambda: len(list(descriptors.iterdir())) <= before + 10, what="the sockets are closed"
    )
    with join_when_there_is_room(client, "the last") as listener:
        listener.wait_for("status")


def test_a_client_that_never_reads_is_dropped_and_the_others_get_their_events(
    strict: ServerProcess, client: Client
) -> None:
    image = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
    long_names: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": image}}
    for number in range(90):  # messages name nodes: long ids make them large
        node = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
        long_names[f"{'x' * 8000}{number}"] = node

    client.run(long_names)  # what such a job takes by itself does not count below
    silent = join_when_there_is_room(client, "silent")
    silent.wait_for("status")
    before = resident_bytes(strict, "VmHWM")

    def is_dropped() -> bool:
        return any("client silent does not keep up" in line for line in strict.log)

    with join_when_there_is_room(client, client.client_id) as listener:
        for _ in range(20):
            client.wait(client.submit(long_names, client_id="silent"))
            prompt_id = client.submit(slow_graph(1))
            listener.wait_for_end(prompt_id)
            assert "execution_success" in listener.kinds(prompt_id)
            if is_dropped():
                break
    assert is_dropped()
    assert resident_bytes(strict, "VmHWM") - before < 64 * 2**20
    silent.socket.shutdown()
