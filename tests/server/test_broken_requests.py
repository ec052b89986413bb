"""Requests broken below the level of routes: always a 4xx with our JSON error, never a 500."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.client import Client
from tests.server.graphs import fresh_graph


def send(address: str, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; status, headers and body of the answer."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        received = b""
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
            headers = {}
            while line := stream.readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            received = stream.read(int(headers["content-length"]))
    return status, headers, received


def request(path: bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: localhost", *headers]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(*headers: bytes, body: bytes = b"", path: bytes = b"/queue") -> bytes:
    return request(path, *headers, method=b"POST", body=body)


FORM = b"Content-Type: multipart/form-data; boundary=b"

BROKEN: dict[str, tuple[bytes, int]] = {
    "unknown path": (request(b"/nothing"), 404),
    "unknown path below the prefix": (request(b"/api/nothing"), 404),
    "wrong method": (request(b"/queue", method=b"DELETE"), 405),
    "a method that is none": (request(b"/queue", method=b"BREW"), 400),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "a version that is none": (b"GET /queue HTTP/9.9\r\n\r\n", 400),
    "bytes that are no text in the path": (request(b"/history/\xff"), 400),
    "bytes that are no text in the query": (request(b"/view?filename=\xff"), 400),
    "a huge header": (request(b"/queue", b"X-Long: " + b"a" * 20_000), 400),
    "too many headers": (request(b"/queue", *(b"X-%d: a" % i for i in range(300))), 400),
    "a huge query": (request(b"/view?filename=" + b"a" * 20_000), 400),
    "a header that is none": (request(b"/queue", b"no colon"), 400),
    "a length that is none": (post(b"Content-Length: many"), 400),
    "a chunk that is none": (post(b"Transfer-Encoding: chunked") + b"zz\r\n", 400),
    "two lengths": (post(b"Transfer-Encoding: chunked", b"Content-Length: 3"), 400),
    "a body that is not packed as it says": (post(b"Content-Encoding: gzip", body=b"{}"), 400),
    "a body over the limit": (post(b"Content-Length: 999999999999"), 413),
    "a form without a boundary": (
        post(b"Content-Type: multipart/form-data", body=b"x", path=b"/upload/image"),
        400,
    ),
    "a form with a broken header": (
        post(FORM, body=b"--b\r\nbroken\r\n", path=b"/upload/image"),
        400,
    ),
    "a form that ends early": (
        post(FORM, body=b"--b\r\nContent-Disposition: form-data\r\n", path=b"/upload/image"),
        400,
    ),
    "an encoded name that is no text": (request(b"/view?filename=%ff.png"), 404),
    "a percent sign that encodes nothing": (request(b"/view?filename=%zz"), 404),
    "a socket without an upgrade": (request(b"/ws"), 400),
    "a socket of a version that is none": (
        request(
            b"/ws",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 1",
            b"Sec-WebSocket-Key: x",
        ),
        400,
    ),
}


@pytest.mark.parametrize(("sent", "status"), BROKEN.values(), ids=BROKEN)
def test_a_broken_request_gets_an_error_in_json(server: Client, sent: bytes, status: int) -> None:
    answered, headers, body = send(server.address, sent)
    assert answered == status, body
    assert headers["content-type"] == "application/json; charset=utf-8"
    error: dict[str, Any] = json.loads(body)["error"]
    assert set(error) == {"type", "message", "details", "extra_info"}
    assert error["type"] in ("http_error", "bad_request", "not_found", "too_large")
    assert error["message"]
    assert server.get("/features").status == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/queue", "GET,HEAD,POST"),
        ("PUT", "/prompt", "GET,HEAD,POST"),
        ("GET", "/upload/image", "POST"),
        ("POST", "/object_info", "GET,HEAD"),
        ("GET", "/api/jobs/x/cancel", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    server: Client, method: str, path: str, allowed: str
) -> None:
    for prefix in ("", "/api") if not path.startswith("/api") else ("",):
        reply = server.request(method, prefix + path)
        assert (reply.status, reply.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path", ["/history/%zz", "/history/%ff", "/history/%00", "/object_info/%ff", "/object_info/%2f"]
)
def test_odd_names_are_names_that_nothing_has(server: Client, path: str) -> None:
    assert (server.get(path).status, server.get(path).json()) == (200, {})


def test_a_header_that_no_file_has_use_for_is_passed_over(server: Client) -> None:
    for header in ("If-None-Match", "If-Modified-Since", "If-Range", "Cookie", "Accept-Encoding"):
        assert server.get("/pages/style.css", {header: '"; ==, 99 Foo;'}).status == 200, header
    assert server.get("/pages/style.css", {"Range": "bytes=zz"}).status == 416


def test_clients_that_leave_and_bodies_that_are_broken_fill_no_log(server: Client) -> None:
    host, _, port = server.address.removeprefix("http://").partition(":")
    earlier = server.get("/internal/logs/raw").json()["entries"]  # of other tests
    for path in (b"/queue", b"/upload/image", b"/userdata/a.json", b"/prompt"):
        send(server.address, post(b"Content-Encoding: gzip", body=b"{}", path=path))
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(post(b"Expect: 100-continue", body=b"{}", path=path)[:-1])
            connection.recv(20)  # the server reads the body
    for _ in range(20):
        assert server.get("/features").status == 200
    lines = server.get("/internal/logs/raw").json()["entries"]
    new = [line["m"] for line in lines if line not in earlier]
    assert "Traceback" not in "".join(new)


def test_header_text_that_is_no_utf_8_is_latin_1(server: Client) -> None:
    disposition = b"--b\r\nContent-Disposition: form-data; "
    body = disposition + b'name="image"; filename="\xe9.png"\r\n\r\nx\r\n--b--'
    status, _, answer = send(server.address, post(FORM, body=body, path=b"/upload/image"))
    assert (status, json.loads(answer)["name"]) == (200, "\xe9.png")
    assert server.get("/view", filename="\xe9.png", type="input").body == b"x"
    long = disposition + b'name="\xe9"\r\n\r\n' + b"x" * 70_000 + b"\r\n--b--"
    assert send(server.address, post(FORM, body=long, path=b"/upload/image"))[0] == 400
    prompt = json.dumps({"prompt": fresh_graph()}).encode()
    status, _, answer = send(
        server.address, post(b"Comfy-Usage-Source: caf\xe9", body=prompt, path=b"/prompt")
    )
    assert status == 200, answer
    entry = server.wait(json.loads(answer)["prompt_id"])
    assert entry["prompt"][3]["comfy_usage_source"] == "caf\xe9"
